# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Sliding maximum minus sliding minimum over a square window, with its gradient."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .eager_cpu import is_compiling, on_eager_cpu

# Planes are taken a few at a time: on a CPU so that the dozen passes over each stay in its cache,
# on a GPU so that what the backward pass keeps of them takes a few hundred megabytes.
_CPU_CHUNK, _GPU_CHUNK = 1 << 18, 1 << 24


def _shifts(window: int) -> Iterator[int]:
    """Shifts whose running extrema double the window covered: 1, 2, 4, ... and the remainder."""
    covered = 1
    while covered < window:
        shift = min(covered, window - covered)
        yield shift
        covered += shift


def _pairs(x: Tensor, dim: int, shift: int) -> tuple[Tensor, Tensor]:
    length = x.shape[dim] - shift
    return x.narrow(dim, 0, length), x.narrow(dim, shift, length)


def _pad(x: Tensor, window: int, value: float) -> Tensor:
    radius = window // 2
    return F.pad(x, (radius, ) * 4, value=value)


def _slide(x: Tensor, window: int, extremum: Callable) -> Tensor:
    """(P, H + w - 1, W + w - 1) -> (P, H, W): running extremum of a padded map."""
    for dim in (-1, -2):
        for shift in _shifts(window):
            x = extremum(*_pairs(x, dim, shift))
    return x


def _slide_backward(x: Tensor, window: int, extremum: Callable, wins: Callable,
                    grad: Tensor) -> Tensor:
    """Send ``grad`` (P, H, W) back to where each window's extremum of the padded ``x`` lies.

    The doubling steps are made again, noting at each which of the two views won (``wins(b, a)``:
    the later one, strictly; at a tie the earlier one does), and then undone in reverse.
    """
    eager_cpu = on_eager_cpu(x)
    steps = []
    for dim in (-1, -2):
        for shift in _shifts(window):
            first, second = _pairs(x, dim, shift)
            # Products with 0 and 1 in x's own type are several times faster on a CPU than
            # torch.where, but take more memory.
            out = x.new_empty(first.shape) if eager_cpu else None
            second_won = wins(second, first, out=out)
            steps.append((dim, shift, second_won))
            x = extremum(first, second)
    undo = _undo_in_place if eager_cpu else _undo
    for dim, shift, second_won in reversed(steps):
        grad = undo(grad, dim, shift, second_won)
    return grad


def _undo(grad: Tensor, dim: int, shift: int, second_won: Tensor) -> Tensor:
    """Undo one step: each entry of ``grad`` goes to the one of the two views that won."""
    to_second = torch.where(second_won, grad, 0)
    across = (0, 0) * (-dim - 1)  # F.pad counts from the last dimension
    return (F.pad(grad - to_second, (*across, 0, shift))
            + F.pad(to_second, (*across, shift, 0)))


def _undo_in_place(grad: Tensor, dim: int, shift: int, second_won: Tensor) -> Tensor:
    """The same in fewer passes, by writing to views, which a compiler does not take."""
    length = grad.shape[dim]
    shape = list(grad.shape)
    shape[dim] += shift
    wider = grad.new_empty(shape)
    wider.narrow(dim, length, shift).zero_()
    torch.addcmul(grad, grad, second_won, value=-1, out=wider.narrow(dim, 0, length))
    wider.narrow(dim, shift, length).addcmul_(grad, second_won)
    return wider


def _range(x: Tensor, window: int) -> Tensor:
    highest = _slide(_pad(x, window, float('-inf')), window, torch.maximum)
    lowest = _slide(_pad(x, window, float('inf')), window, torch.minimum)
    return highest - lowest


def _chunks(planes: Tensor) -> Iterator[slice]:
    count = max(len(planes), 1)
    if is_compiling():  # which makes blocks of its own
        size = count
    else:
        chunk = _CPU_CHUNK if planes.device.type == 'cpu' else _GPU_CHUNK
        size = max(1, chunk // max(planes.shape[1:].numel(), 1))
    for start in range(0, count, size):
        yield slice(start, start + size)


class _SlidingRange(torch.autograd.Function):
    """Keeps its input alone: a pooling layer would keep two int64 index maps as well."""

    @staticmethod
    def forward(ctx, x: Tensor, window: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window = window
        # The result is not a view, so that callers may change it.
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        planes, ranges = x.flatten(0, 1), out.flatten(0, 1)
        for chunk in _chunks(planes):
            ranges[chunk] = _range(planes[chunk], window)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        x, = ctx.saved_tensors
        window, radius = ctx.window, ctx.window // 2
        height, width = x.shape[-2:]
        planes, grads = x.flatten(0, 1), grad.flatten(0, 1)
        out = torch.empty_like(planes, memory_format=torch.contiguous_format)
        for chunk in _chunks(planes):
            at_highest = _slide_backward(
                _pad(planes[chunk], window, float('-inf')), window, torch.maximum, torch.gt,
                grads[chunk])
            at_lowest = _slide_backward(
                _pad(planes[chunk], window, float('inf')), window, torch.minimum, torch.lt,
                grads[chunk])
            padded = at_highest - at_lowest  # not in place: with a window of 1 both are grads
            out[chunk] = padded[:, radius:radius + height, radius:radius + width]
        return out.view(x.shape), None


def sliding_range(x: Tensor, window: int) -> Tensor:
    """Sliding maximum minus sliding minimum, per channel, stride 1, same size.

    Equal to ``max_pool2d(x) + max_pool2d(-x)`` with padding ``window // 2`` (windows are clipped at
    the border), bit for bit, in O(log window) passes: each pass doubles the window that the running
    extremum covers, one axis at a time. The gradient goes where ``max_pool2d`` sends it: to the
    first of equal values in row-major order. It cannot be differentiated twice.

    Args:
        x: (N, C, H, W), floating point.
        window: Side of the square window in pixels of ``x``; odd.

    Returns:
        (N, C, H, W), >= 0.
    """
    if torch.onnx.is_in_onnx_export():  # which follows plain operators only
        return _range(x.flatten(0, 1), window).unflatten(0, x.shape[:2])
    return _SlidingRange.apply(x, window)
