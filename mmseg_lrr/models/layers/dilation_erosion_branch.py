# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Auxiliary scores of each class's dilated, or eroded, mask; used in training alone."""

from collections.abc import Mapping

import torch
import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from .coefficient_conv import CoefficientConv
from .lrr_level import LRRLevel


@MODELS.register_module()
class DilationErosionBranch(nn.Module):
    """Coefficient convolutions of its own, the levels' basis functions, and a bias per class.

    The head holds two, one for dilation and one for erosion (docs/method.md,
    "Losses"). At finer levels the maps are pyramids themselves: the coarser map upsampled, plus
    detail, plus a bias of their own, unmasked. Coefficients start at zero, biases at +1 for class 0
    (background) and -1 for the rest: the masks of an image that is background only.

    Args:
        in_channels: Channels of each level's feature map, by level, coarse to fine.
        num_classes: Number of classes C.
        num_bases: Number of basis functions per class, K.
        kernel_size: Of the coefficient convolutions.
    """

    def __init__(self, *, in_channels: Mapping[str, int], num_classes: int, num_bases: int = 10,
                 kernel_size: int = 5) -> None:
        super().__init__()
        self.coefficients = nn.ModuleDict({
            level: CoefficientConv(channels, num_classes * num_bases, kernel_size)
            for level, channels in in_channels.items()
        })
        bias = torch.full((num_classes, ), -1.0)
        bias[0] = 1.0
        self.bias = nn.ParameterDict({
            level: nn.Parameter(bias.clone()) for level in in_channels
        })

    def forward(self, features: Mapping[str, Tensor],
                levels: Mapping[str, LRRLevel]) -> dict[str, Tensor]:
        """Compute the scores of every level of the branch, coarse to fine.

        Args:
            features: Feature maps by level, (N, channels, h, w).
            levels: The head's levels, whose basis functions and upsampling serve here too.

        Returns:
            By level, (N, C, u * h, u * w); positive inside the mask.
        """
        predictions: dict[str, Tensor] = {}
        scores = None
        for name, coefficients in self.coefficients.items():
            feature, level = features[name], levels[name]
            detail = (level.reconstruction(coefficients(feature))
                      + self.bias[name].view(-1, 1, 1))
            if scores is None:
                scores = detail
            else:
                scores = level.upsample(scores, feature.shape[2:]) + detail
            predictions[name] = scores
        return predictions
