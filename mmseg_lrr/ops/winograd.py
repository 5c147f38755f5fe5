# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The 5x5 convolution with a sixth of its multiplications (Winograd's F(4x4, 5x5)), on a CPU.

A tile of 4x4 outputs of a 5x5 filter reads 8x8 inputs. Filter and input are evaluated, as
polynomials, at the same eight points along each axis; there the convolution is one product per
point (64 instead of 400 per tile); and the values of the product give the tile's outputs. Each
change of form is one small matrix, and the sum over channels is a batched product of 64 matrices.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .eager_cpu import on_eager_cpu

KERNEL = 5
_OUT = 4  # side of a tile of outputs
_IN = _OUT + KERNEL - 1  # and of the inputs that it reads
_POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)  # and infinity
# Tiles taken at a time: what they need at once then stays in the cache.
_CHUNK = 128
# Filters times channels taken at a time where there is one chunk: the values of more would be
# memory that the system hands out anew at each call, which takes as long as the arithmetic.
_FILTERS = 60_000


@lru_cache
def _arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Toom-Cook's matrices for two axes at once: to outputs, of filters and of inputs."""
    def evaluate(count: int) -> np.ndarray:
        at_points = [[point**power for power in range(count)] for point in _POINTS]
        return np.array([*at_points, [0] * (count - 1) + [1]], np.float64)

    outputs, filters, inputs = evaluate(_OUT).T, evaluate(KERNEL), np.linalg.inv(evaluate(_IN)).T
    # Rows of one size keep the rounding errors small.
    scale = np.linalg.norm(inputs, axis=1, keepdims=True)
    inputs, filters = inputs / scale, filters * scale
    return tuple(np.kron(matrix, matrix).astype(np.float32)
                 for matrix in (outputs, filters, inputs))


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """The same as tensors, made anew: they belong to the mode that this call is made in."""
    return tuple(torch.from_numpy(array) for array in _arrays())


def _chunks(batch: int, rows: int, columns: int) -> list[tuple[slice, slice]]:
    """Cut the tiles into (images, rows of tiles), about ``_CHUNK`` tiles at a time."""
    images = max(1, _CHUNK // (rows * columns))
    step = rows if images > 1 else max(1, _CHUNK // columns)
    return [(slice(image, min(image + images, batch)), slice(row, min(row + step, rows)))
            for image in range(0, batch, images) for row in range(0, rows, step)]


def _groups(filters: int, channels: int, chunks: int) -> Iterator[slice]:
    """Cut the filters into groups; a single one for several chunks, which share its values."""
    step = filters if chunks > 1 else max(1, _FILTERS // channels)
    for first in range(0, filters, step):
        yield slice(first, min(first + step, filters))


def _pad(x: Tensor, rows: int, columns: int, padding: int) -> Tensor:
    """Put zeros around ``x`` and up to whole tiles."""
    height, width = x.shape[2:]
    right = columns * _OUT + KERNEL - 1 - width - padding
    below = rows * _OUT + KERNEL - 1 - height - padding
    # Without anything to add it would still copy.
    return F.pad(x, (padding, right, padding, below)) if padding or right or below else x


def _values_of_inputs(padded: Tensor, images: slice, rows: slice) -> Tensor:
    """(N, C, H, W) -> (64, C, tiles): the inputs of some tiles, evaluated at the points."""
    part = padded[images, :, rows.start * _OUT:(rows.stop - 1) * _OUT + _IN]
    count, channels, height, width = part.shape
    # A tile's values are the outputs of one filter per point, moved from tile to tile.
    values = F.conv2d(part.reshape(-1, 1, height, width), _matrices()[2].view(-1, 1, _IN, _IN),
                      stride=_OUT)
    values = values.view(count, channels, _IN**2, -1).permute(2, 1, 0, 3)
    return values.reshape(_IN**2, channels, -1)


def _values_of_filters(weight: Tensor, group: slice, turned: bool) -> Tensor:
    """(C_out, C, 5, 5) -> (64, group, C): some filters, evaluated at the points.

    ``turned`` are the filters of the gradient: upside down, and from outputs to inputs.
    """
    of_filter = _matrices()[1]
    if turned:
        part = weight[:, group]
        values = of_filter.flip(1) @ part.reshape(-1, KERNEL**2).t()
        return values.view(_IN**2, *part.shape[:2]).transpose(1, 2)
    return torch.matmul(of_filter, weight[group].flatten(2).transpose(1, 2)).transpose(0, 1)


def _convolve(x: Tensor, weight: Tensor, padding: int, turned: bool = False) -> Tensor:
    filters, channels = weight.shape[1::-1] if turned else weight.shape[:2]
    height, width = (side + 2 * padding - KERNEL + 1 for side in x.shape[2:])
    rows, columns = -(-height // _OUT), -(-width // _OUT)
    padded = _pad(x, rows, columns, padding)
    to_outputs = _matrices()[0]
    whole = x.new_empty(len(x), filters, rows * _OUT, columns * _OUT)
    tiles = whole.view(len(x), filters, rows, _OUT, columns, _OUT)
    chunks = _chunks(len(x), rows, columns)
    of_inputs = None
    for group in _groups(filters, channels, len(chunks)):
        of_filters = _values_of_filters(weight, group, turned)
        if len(chunks) > 1 and not turned:
            of_filters = of_filters.contiguous()
        for images, some_rows in chunks:
            if of_inputs is None or len(chunks) > 1:
                of_inputs = _values_of_inputs(padded, images, some_rows)
            products = torch.bmm(of_filters, of_inputs)
            outputs = (to_outputs @ products.view(_IN**2, -1)).view(
                _OUT, _OUT, of_filters.shape[1], images.stop - images.start, -1, columns)
            tiles[images, group, some_rows] = outputs.permute(3, 2, 4, 0, 5, 1)
    # No view of anything, so that callers may change it.
    fits = whole.shape[2:] == (height, width)
    return whole if fits else whole[:, :, :height, :width].contiguous()


def _weight_gradient(x: Tensor, grad: Tensor, padding: int) -> Tensor:
    filters, channels = grad.shape[1], x.shape[1]
    rows, columns = (-(-side // _OUT) for side in grad.shape[2:])
    padded = _pad(x, rows, columns, padding)
    grad = F.pad(grad, (0, columns * _OUT - grad.shape[3], 0, rows * _OUT - grad.shape[2]))
    tiles = grad.reshape(len(x), filters, rows, _OUT, columns, _OUT)
    to_outputs, of_filter, _ = _matrices()
    whole = x.new_empty(filters, channels, KERNEL, KERNEL)
    chunks = _chunks(len(x), rows, columns)
    of_inputs = None
    for group in _groups(filters, channels, len(chunks)):
        total = x.new_zeros(_IN**2, group.stop - group.start, channels)
        for images, some_rows in chunks:
            part = tiles[images, group, some_rows].permute(3, 5, 1, 0, 2, 4).reshape(_OUT**2, -1)
            products = (to_outputs.t() @ part).view(_IN**2, total.shape[1], -1)
            if of_inputs is None or len(chunks) > 1:
                of_inputs = _values_of_inputs(padded, images, some_rows).transpose(1, 2)
            total.baddbmm_(products, of_inputs)
        whole[group] = (total.view(_IN**2, -1).t() @ of_filter).view(whole[group].shape)
    return whole


class _Winograd(torch.autograd.Function):
    """The convolution of stride 1; its gradients can be differentiated in turn."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        scores = _convolve(x, weight, padding)
        return scores if bias is None else scores.add_(bias[:, None, None])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        # In full precision, as the outputs are, wherever backward() is called.
        with torch.autocast('cpu', enabled=False):
            if ctx.needs_input_grad[0]:
                grad_x = _convolve(grad, weight, KERNEL - 1 - ctx.padding, turned=True)
            if ctx.needs_input_grad[1]:
                grad_weight = _weight_gradient(x, grad, ctx.padding)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=(0, 2, 3))
        return grad_x, grad_weight, grad_bias, None


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """``conv2d`` of stride 1 with a 5x5 filter.

    The result differs by up to 2e-5 of its maximum (3e-5 where one value of the map is 10,000 times
    the others), where the plain convolution in float32 differs by 1.5e-6 to 3e-6. A value that is
    not finite spoils whole tiles of 4x4 outputs.

    Args:
        x: ``(N, C, H, W)`` float32, on a CPU.
        weight: ``(C_out, C, 5, 5)``.
        bias: ``(C_out,)`` or None.
        padding: Zeros around the map, 0 to 4.

    Returns:
        ``(N, C_out, H + 2 * padding - 4, W + 2 * padding - 4)``.
    """
    return _Winograd.apply(x, weight, bias, padding)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """``F.conv2d`` of stride 1, by Winograd's algorithm where it serves and is faster.

    It serves float32 on a CPU outside compilers, exporters, tracing and autocast. Its transforms
    are spread over channels, filters and pixels: few of any gain nothing.
    """
    pixels = len(x) * math.prod(side + 2 * padding - KERNEL + 1 for side in x.shape[2:])
    if (on_eager_cpu(x) and x.dtype == weight.dtype == torch.float32
            and weight.shape[2:] == (KERNEL, KERNEL) and min(weight.shape[:2]) >= 32
            and pixels >= 512 and not torch.is_autocast_enabled('cpu')):
        return winograd_conv2d(x, weight, bias, padding)
    return F.conv2d(x, weight, bias, padding=padding)
