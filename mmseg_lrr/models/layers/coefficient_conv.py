# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The convolution from a feature map to coefficients."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.tiled_conv import tiled_conv2d
from mmseg_lrr.ops.winograd import conv2d

# Of an image's tiles; gathering and scattering more costs what it saves
# (tools/benchmarks/gated.py).
MOST_TILES = 0.6
#: Largest side of a filter.
MAX_KERNEL = 127


class CoefficientConv(nn.Conv2d):
    """A convolution that keeps the size, starting at zero (spec section 1.1).

    Args:
        in_channels: C of the map.
        out_channels: classes times basis functions.
        kernel_size: odd, at most 127.
        winograd: whether Winograd's algorithm may be taken where it pays.

    Raises:
        ValueError: when built, on an even kernel size.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int,
                 winograd: bool = True) -> None:
        checks.odd('kernel_size', kernel_size, 1, MAX_KERNEL)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.convolve = conv2d if checks.boolean('winograd', winograd) else F.conv2d

    def forward(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """Coefficients (N, C_out, h, w) of a map (N, C, h, w).

        Args:
            x: the feature map.
            active: (N, ceil(h / 4), ceil(w / 4)) bool, the tiles that are needed. The others are
                zero, or computed too in images that need most of theirs.
        """
        if active is not None:
            most = active.float().mean(dim=(1, 2)) > MOST_TILES
            if not most.all():
                active = active | most[:, None, None]
                return tiled_conv2d(x, self.weight, self.bias, active, convolve=self.convolve)
        return self.convolve(x, self.weight, self.bias, padding=self.padding[0])
