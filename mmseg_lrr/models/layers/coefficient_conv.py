# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The convolution from a feature map to coefficients."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.winograd import conv2d


class CoefficientConv(nn.Conv2d):
    """A convolution that keeps the size and starts at zero.

    Args:
        in_channels: Channels of the feature map.
        out_channels: Number of classes times basis functions per class.
        kernel_size: Odd.
        winograd: Whether Winograd's algorithm is used where it pays.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 5,
                 winograd: bool = True) -> None:
        checks.odd('kernel_size', kernel_size, 1)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.convolve = conv2d if winograd else F.conv2d

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) feature map -> (N, out_channels, h, w) coefficients."""
        return self.convolve(x, self.weight, self.bias, padding=self.padding[0])
