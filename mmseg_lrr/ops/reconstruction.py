# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Class scores as sums of overlapping basis functions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .eager_cpu import on_eager_cpu

# Coefficient vectors, over all images, from which on the classes are painted one by one: what one
# needs then stays in the cache, and the system need not hand out the memory of all anew.
_ONE_BY_ONE = 1 << 12


def _cell_filters(bases: Tensor) -> Tensor:
    """(C, K, 2u, 2u) bases -> (C * u * u, K, 2, 2) filters that give one u x u cell of scores.

    Cells lie between the centres of neighbouring blocks. There the block before the cell shows its
    second half and the block after it its first half, on either axis.
    """
    num_classes, num_bases, size, _ = bases.shape
    u = size // 2
    halves = bases.reshape(num_classes, num_bases, 2, u, 2, u).flip(2, 4)
    return halves.permute(0, 3, 5, 1, 2, 4).reshape(num_classes * u * u, num_bases, 2, 2)


def reconstruct(coefficients: Tensor, bases: Tensor) -> Tensor:
    """Sum each class's basis functions, weighted by its coefficients, on an overlapping grid.

    Equal to ``conv_transpose2d(coefficients, bases, stride=u, padding=u // 2, groups=C)``, the
    released code's layer: every coefficient vector paints a 2u x 2u block, blocks are u apart, so
    each u x u cell between block centres is a function of 2 x 2 coefficient vectors. Computed that
    way, as a 2 x 2 grouped convolution with one output channel a pixel of the cell.

    Args:
        coefficients: (N, C * K, h, w), class-major: class c owns channels c * K .. c * K + K - 1.
        bases: (C, K, 2u, 2u), u even.

    Returns:
        Scores (N, C, u * h, u * w).
    """
    num_bases, size = bases.shape[1:3]
    u = size // 2
    filters = _cell_filters(bases).to(coefficients.dtype)
    if on_eager_cpu(coefficients) and coefficients[:, 0].numel() >= _ONE_BY_ONE:
        classes = zip(coefficients.split(num_bases, dim=1), filters.split(u * u), strict=True)
        return torch.cat([_paint(*one, u) for one in classes], dim=1)
    return _paint(coefficients, filters, u)


def _paint(coefficients: Tensor, filters: Tensor, u: int) -> Tensor:
    """(N, C * K, h, w), (C * u * u, K, 2, 2) -> (N, C, u * h, u * w)."""
    cells = F.conv2d(coefficients, filters, padding=1, groups=len(filters) // u**2)
    # The grid of cells starts and ends half a cell outside the map.
    half = u // 2
    return F.pixel_shuffle(cells, u)[..., half:-half, half:-half]
