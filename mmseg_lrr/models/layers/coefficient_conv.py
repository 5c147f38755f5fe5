# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The convolution from a feature map to coefficients."""

from torch import nn

from mmseg_lrr.ops import checks


class CoefficientConv(nn.Conv2d):
    """A convolution that keeps the size and starts at zero.

    Args:
        in_channels: Channels of the feature map.
        out_channels: Number of classes times basis functions per class.
        kernel_size: Odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 5) -> None:
        checks.odd('kernel_size', kernel_size, 1)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
