# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A convolution computed only where its output matters."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .winograd import conv2d

TILE = 4  # as winograd_conv2d's, which then computes nothing twice


def active_tiles(mask: Tensor, threshold: float, factor: int, tile: int = TILE) -> Tensor:
    """Tiles of coefficients that paint at least one pixel whose mask reaches the threshold.

    Args:
        mask: (N, C, u * h, u * w), the boundary mask at the level's score resolution.
        threshold: pixels where no class's mask reaches it are left as the coarser level has them.
        factor: u; a coefficient vector paints the 2u x 2u pixels around its block's centre.
        tile: side of a tile in coefficient vectors.

    Returns:
        (N, ceil(h / tile), ceil(w / tile)) bool.
    """
    matters = (mask.amax(dim=1, keepdim=True) >= threshold).to(mask.dtype)
    painted = F.max_pool2d(matters, 2 * factor, factor, factor // 2)
    return F.max_pool2d(painted, tile, tile, ceil_mode=True)[:, 0] > 0


def tiled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, active: Tensor,
                 tile: int = TILE, convolve: Callable = conv2d) -> Tensor:
    """``conv2d`` of stride 1 that keeps the size, in the active tiles; zero in the others.

    Each active tile is gathered with its halo, and all of them are convolved as one batch.

    Args:
        x: (N, C_in, h, w).
        weight: (C_out, C_in, k, k), k odd.
        bias: (C_out, ) or None.
        active: (N, ceil(h / tile), ceil(w / tile)) bool.
        tile: side of a tile in pixels of ``x``.
        convolve: how the tiles are convolved; called as ``torch.nn.functional.conv2d`` is.

    Returns:
        (N, C_out, h, w).
    """
    batch, _, height, width = x.shape
    rows, columns = active.shape[1:]
    halo = weight.shape[-1] // 2
    padded = F.pad(x, (halo, columns * tile - width + halo, halo, rows * tile - height + halo))
    # A pixel's channels side by side: tiles are gathered pixel by pixel.
    padded = padded.contiguous(memory_format=torch.channels_last)
    windows = padded.unfold(2, tile + 2 * halo, tile).unfold(3, tile + 2 * halo, tile)
    image, row, column = active.nonzero(as_tuple=True)
    computed = convolve(windows[image, :, row, column], weight, bias, padding=0)
    tiles = computed.new_zeros(batch, weight.shape[0], rows, tile, columns, tile)
    tiles.permute(0, 2, 4, 1, 3, 5)[image, row, column] = computed
    return tiles.view(batch, -1, rows * tile, columns * tile)[:, :, :height, :width]
