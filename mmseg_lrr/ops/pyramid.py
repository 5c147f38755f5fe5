# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Geometry of the pyramid: which levels there are, and how their maps lie on one another."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks


@dataclass(frozen=True)
class LevelGeometry:
    """Where a level's maps lie in the image.

    Attributes:
        stride: Stride of the feature map that the level reads, in input pixels.
        factor: u, the factor from the feature map to the score map.
        upsample_factor: Factor from the next coarser level's score map to this one's, 1 or 2.
        window: Side of the boundary mask's window, in pixels of the score map.
    """

    stride: int
    factor: int
    upsample_factor: int
    window: int

    @property
    def name(self) -> str:
        """Name of the level, such as ``'32x'``."""
        return f'{self.stride}x'

    @property
    def score_stride(self) -> int:
        """Stride of the score map in input pixels."""
        return self.stride // self.factor


def pyramid_levels(strides: Sequence[int], factor: int | Sequence[int] = 4,
                   window: int | Sequence[int | None] | None = None) -> list[LevelGeometry]:
    """Describe the levels, coarse to fine.

    Args:
        strides: Of the feature maps in input pixels, fine to coarse, each twice the one before.
        factor: u, even; one, or one per level, fine to coarse. A single one is lowered to the
            stride where it is larger (u = 8 at stride 4).
        window: Of the boundary mask; one, or one per level, fine to coarse. Default: 2u + 1.

    Raises:
        ValueError: If strides do not double, a factor is odd or does not divide its stride, or
            neighbouring score maps are neither equally fine nor a factor of 2 apart.
    """
    if any(coarse != 2 * fine for fine, coarse in zip(strides, strides[1:], strict=False)):
        raise ValueError('strides must double from one feature map to the next, fine to coarse, '
                         f'got {list(strides)}')
    factors = checks.per_level('reconstruction_factor', factor, len(strides))
    if isinstance(factor, int):
        factors = [min(factor, stride) for stride in strides]
    windows = checks.per_level('boundary_mask window', window, len(strides))
    levels: list[LevelGeometry] = []
    for stride, u, side in zip(strides[::-1], factors[::-1], windows[::-1], strict=True):
        if u < 2 or u % 2 or stride % u:
            fitting = [n for n in range(2, stride + 1, 2) if stride % n == 0]
            raise ValueError('reconstruction_factor must be even and divide the stride of its '
                             f'level, got {u} at stride {stride}, for which '
                             f'{" or ".join(map(str, fitting)) or "none"} would do')
        upsample_factor = levels[-1].score_stride // (stride // u) if levels else 1
        if upsample_factor not in (1, 2):
            raise ValueError('reconstruction_factor must give score maps that are equally fine or '
                             f'a factor of 2 apart, got {levels[-1].factor} at stride '
                             f'{levels[-1].stride} and {u} at stride {stride}')
        side = 2 * u + 1 if side is None else side
        levels.append(LevelGeometry(stride, u, upsample_factor, side))
    return levels


def fit_map(scores: Tensor, size: Sequence[int], limit: float = math.inf) -> Tensor:
    """Cut (N, C, H, W) to ``size``, or repeat its edge, at the bottom and right; never stretch.

    Layers round odd sizes up or down (ConvNeXt), so that a coarser map may reach beyond a finer
    one, or not as far. Both begin at the top left corner of the image.

    Args:
        scores: (N, C, H, W).
        size: (height, width) of the result.
        limit: By how many pixels the sizes may not differ; more is a map of another stride.

    Raises:
        ValueError: If the sizes differ by ``limit`` or more.
    """
    rows, columns = (side - had for side, had in zip(size, scores.shape[2:], strict=True))
    if not (-limit < rows < limit and -limit < columns < limit):
        raise ValueError(
            f'a score map of {tuple(scores.shape[2:])} pixels does not fit the finer map, or the '
            f'labels, of {tuple(size)}: feature maps must have the strides that the head is given '
            '(strides=..., by default the last of 2, 4, 8, 16, 32). A dilated ResNet has them with '
            'backbone=dict(strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1))')
    if rows > 0 or columns > 0:
        scores = F.pad(scores, (0, max(columns, 0), 0, max(rows, 0)), mode='replicate')
    return scores[:, :, :size[0], :size[1]]


def input_size(batch_img_metas: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Read the size (height, width) of the network's input from its images' metainfo."""
    meta = batch_img_metas[0]
    if isinstance(meta['img_shape'], torch.Size):  # a window of mmseg's slide mode
        return tuple(meta['img_shape'])
    return tuple(meta.get('pad_shape', meta['img_shape'])[:2])


def subsample_labels(labels: Tensor, stride: int) -> Tensor:
    """Take every ``stride``-th label at half-pixel centres: index stride * i + stride // 2.

    Args:
        labels: (N, H, W).

    Returns:
        (N, h, w), the samples whose index lies inside the map.
    """
    return labels[:, stride // 2::stride, stride // 2::stride].contiguous()
