# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Auxiliary scores of each class's dilated, or eroded, mask; used in training alone."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.bases import PATCH_SIZE

from .coefficient_conv import MAX_KERNEL, CoefficientConv


@MODELS.register_module()
class DilationErosionBranch(nn.Module):
    """Coefficient convolutions of its own, the levels' frozen bases, and a bias a class.

    The head holds two, one for dilation and one for erosion (spec section 3). At finer levels the
    maps are pyramids themselves: the coarser map upsampled, plus detail, plus a bias of their own,
    unmasked. All coefficients start at zero; the biases at +1 for class 0 (background) and -1 for
    the rest, that is at the mask of an image that is background only.

    Args:
        in_channels: channels of each level's feature map, by level, coarse to fine.
        num_classes: number of classes C.
        num_bases: basis functions a class, K.
        kernel_size: of the coefficient convolutions; odd.
        winograd: as in ``LRRHead``.

    Raises:
        TypeError, ValueError: when built, naming the option, the value and what is accepted.
    """

    def __init__(self, *, in_channels: Mapping[str, int], num_classes: int, num_bases: int,
                 kernel_size: int, winograd: bool = True) -> None:
        super().__init__()
        if not isinstance(in_channels, Mapping) or not in_channels:
            raise TypeError("in_channels must be channels by level, such as {'32x': 2048}, got "
                            f'{in_channels!r}')
        for level, channels in in_channels.items():
            checks.integer(f'in_channels[{level!r}]', channels, 1)
        checks.integer('num_classes', num_classes, 2)
        checks.integer('num_bases', num_bases, 1, PATCH_SIZE**2)
        checks.odd('kernel_size', kernel_size, 1, MAX_KERNEL)
        self.coefficients = nn.ModuleDict({
            level: CoefficientConv(channels, num_classes * num_bases, kernel_size, winograd)
            for level, channels in in_channels.items()
        })
        bias = torch.full((num_classes, ), -1.0)
        bias[0] = 1.0
        self.bias = nn.ParameterDict({
            level: nn.Parameter(bias.clone()) for level in in_channels
        })

    def forward(self, features: Mapping[str, Tensor], reconstructions: Mapping[str, nn.Module],
                upsamples: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """Scores of every level of the branch, coarse to fine.

        Args:
            features: the head's feature maps by level, (N, channels, h, w).
            reconstructions: the head's ``BasisReconstruction`` by level.
            upsamples: the head's ``PyramidUpsample`` by level (all but the coarsest).

        Returns:
            By level, (N, C, H, W) at that level's score resolution; positive inside the mask.
        """
        predictions = {}
        prediction = None
        for level, coefficients in self.coefficients.items():
            detail = (reconstructions[level](coefficients(features[level]))
                      + self.bias[level].view(-1, 1, 1))
            if prediction is None:
                prediction = detail
            else:
                prediction = upsamples[level](prediction, detail.shape[2:]) + detail
            predictions[level] = prediction
        return predictions


def branch_levels(levels: Sequence[str] | None, all_levels: Sequence[str]) -> list[str]:
    """The levels of a branch: by default the coarsest; else the coarsest ones without a gap.

    Args:
        levels: names asked for, in any order, or None.
        all_levels: the head's level names, coarse to fine.

    Raises:
        ValueError: if a level is not there, or a coarser one is left out.
    """
    if levels is None:
        return list(all_levels[:1])
    if not isinstance(levels, Sequence) or isinstance(levels, str) or not levels:
        raise ValueError(f'dilation_erosion levels must be a non-empty list of {list(all_levels)}, '
                         f'got {levels!r}')
    wanted = [level for level in all_levels if level in levels]
    if len(wanted) != len(levels) or wanted != list(all_levels[:len(wanted)]):
        raise ValueError(
            f'dilation_erosion levels must be the coarsest of {list(all_levels)} without a gap '
            f'(finer maps build on coarser ones), got {list(levels)}')
    return wanted
