# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""From a coarser level's score map to the next finer level's."""

from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.resampling import BORDERS, upsample2x


def crop(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut (N, C, H, W) at the bottom and right to ``size`` = (height, width); never stretch.

    Layers of stride 2 round up, so a coarser map can reach beyond the finer one; its top-left
    corner is theirs too.

    Raises:
        ValueError: if the map is smaller than ``size``.
    """
    height, width = size
    if scores.shape[2] < height or scores.shape[3] < width:
        raise ValueError(
            f'a score map of {tuple(scores.shape[2:])} pixels cannot cover {tuple(size)}: the '
            'backbone rounds odd sizes down (as ConvNeXt does). Pad the input to a multiple of the '
            'coarsest stride: data_preprocessor=dict(size_divisor=32, '
            'test_cfg=dict(size_divisor=32))')
    return scores[:, :, :height, :width]


class PyramidUpsample(nn.Module):
    """2x bilinear upsampling between levels, cut to the finer map (spec section 1.3).

    Args:
        factor: 2, or 1 where both levels have the same resolution already.
        border: ``'zeros'`` (the released network's) or ``'replicate'``.
    """

    def __init__(self, *, factor: int = 2, border: str = 'zeros') -> None:
        super().__init__()
        self.factor = checks.one_of('factor', factor, (1, 2))
        self.border = checks.one_of('border', border, BORDERS)

    def forward(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, \\*size), aligned at the top left."""
        if self.factor == 2:
            scores = upsample2x(scores, self.border)
        return crop(scores, size)

    def extra_repr(self) -> str:
        return f'factor={self.factor}, border={self.border}'
