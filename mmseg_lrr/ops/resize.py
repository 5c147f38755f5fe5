# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Antialiased bicubic resizing and the sizes of the test canvas."""

from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor


def resize_bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, C, h, w) to (N, C, \\*size), bicubic (a = -0.5), antialiased, half-pixel centres.

    What MATLAB's ``imresize`` does inside the map; at its border PyTorch renormalises the weights
    where MATLAB mirrors the map. Values can overshoot.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode='bicubic', align_corners=False, antialias=True)


def canvas_size(size: tuple[int, int], scale: float, divisor: int = 32) -> tuple[int, int]:
    """Size of the canvas on which an image is tested (spec section 5).

    Each axis is ``divisor * floor(scale * size / divisor + 0.5)``: halves round up. At least one
    block.

    Args:
        size: (height, width) of the image.
        scale: of the test; taken as the decimal number that is written (0.6, not its binary
            neighbour).
        divisor: the network's coarsest stride.
    """
    exact = Fraction(str(scale))
    blocks = [int(exact * side / divisor + Fraction(1, 2)) for side in size]
    return max(blocks[0], 1) * divisor, max(blocks[1], 1) * divisor


def fitted_size(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int]:
    """Size of an image when it is scaled by the one factor that fits it in a canvas.

    One axis fills the canvas; the other is rounded to whole pixels, halves up (ours).
    """
    factor = min(Fraction(canvas[0], size[0]), Fraction(canvas[1], size[1]))
    height, width = (max(int(side * factor + Fraction(1, 2)), 1) for side in size)
    return height, width
