# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Dilated and eroded class masks of a batch of label maps, by distance transform."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks

FOOTPRINTS = ('disk', 'octagon')
VOIDS = ('ignore', 'class0')
# Pixels taken at a time: what is made of them then stays in a CPU's cache, or takes a few hundred
# megabytes of a GPU.
_CPU_CHUNK, _GPU_CHUNK = 1 << 20, 1 << 26


def row_half_widths(radius: int, footprint: str = 'disk') -> list[int]:
    """Compute the half-widths of a footprint's rows, from its middle row outwards.

    Args:
        radius: In pixels, at most 8192.
        footprint: ``'disk'`` is dx^2 + dy^2 <= radius^2 (3209 pixels at radius 32). ``'octagon'``
            is what MATLAB's ``strel('disk', radius)``, and so the released code, makes: the sum of
            lines in four directions (3285 pixels at radius 32); defined for radius >= 4.

    Returns:
        ``widths``: the row dy away from the middle spans dx = -widths[|dy|] .. widths[|dy|]; rows
        beyond the list are empty.
    """
    checks.one_of('footprint', footprint, FOOTPRINTS)
    # Distances are counted in 16 bits, up to twice as far.
    checks.integer(f'radius of the {footprint}', radius, 4 if footprint == 'octagon' else 0, 8192)
    if footprint == 'disk':
        return [math.isqrt(radius * radius - dy * dy) for dy in range(radius + 1)]
    # strel's decomposition into four lines, lengthened along the axes where it falls short.
    reach = 2 * radius / (1 / math.tan(math.pi / 8) + 1 / math.sin(math.pi / 8))
    straight, diagonal = math.floor(reach), math.floor(reach / math.sqrt(2))
    extra = max(radius - (straight + 2 * diagonal) - 1, 0)
    half_side = straight + 2 * diagonal + extra
    half_diagonal = 2 * (straight + diagonal + extra)
    return [min(half_side, half_diagonal - dy) for dy in range(half_side + 1)]


def _distance_type(limit: int) -> torch.dtype:
    """Smallest type that holds ``limit`` plus the longest step below it without wrapping round."""
    return torch.uint8 if 2 * limit < 256 else torch.int16


def _spread(distance: Tensor, dim: int, limit: int) -> Tensor:
    """In place: lower each entry to its distance along ``dim`` from the nearest zero of the input.

    Exact up to ``limit``: steps of 1, 2, 4, ... reach every offset. Entries start at 0 (a seed) or
    above ``limit``.
    """
    length = distance.shape[dim]
    step = 1
    while step <= min(limit, length - 1):
        reached = distance + step
        ahead = distance.narrow(dim, step, length - step)
        behind = distance.narrow(dim, 0, length - step)
        torch.minimum(ahead, reached.narrow(dim, 0, length - step), out=ahead)
        torch.minimum(behind, reached.narrow(dim, step, length - step), out=behind)
        step *= 2
    return distance


def _rows(x: Tensor, dy: int, margin: int, stride: int, count: int) -> Tensor:
    """Rows ``stride * i + stride // 2 + dy`` of a map padded by ``margin`` rows."""
    start = margin + stride // 2 + dy
    return x[:, start:start + stride * (count - 1) + 1:stride]


def _within(row_distance: Tensor, half_widths: list[int], stride: int, count: int) -> Tensor:
    """Whether any row of the footprint, centred at each sample, holds a seed.

    Args:
        row_distance: (P, H, w) integer, distance to the nearest seed in the same row.

    Returns:
        (P, count, w) bool.
    """
    margin, widest = len(half_widths) - 1, max(half_widths)
    padded = F.pad(row_distance, (0, 0, margin, margin), value=widest + 1)
    # The smallest excess over a row's half-width decides. Each row's distances are raised by what
    # it is narrower than the widest row: additions and minima are vectorised for small integers,
    # comparisons and logical operations are not.
    excess = _rows(padded, 0, margin, stride, count) + (widest - half_widths[0])
    for dy in range(1, margin + 1):
        nearest = torch.minimum(_rows(padded, -dy, margin, stride, count),
                                _rows(padded, dy, margin, stride, count))
        torch.minimum(excess, nearest.add_(widest - half_widths[dy]), out=excess)
    return excess <= widest


def _subsample(x: Tensor, dim: int, stride: int) -> Tensor:
    return x[(slice(None), ) * dim + (slice(stride // 2, None, stride), )]


def _signs(truth: Tensor) -> Tensor:
    """+1. where true, -1. where false."""
    return truth.float().mul_(2).sub_(1)


def _knows_values(labels: Tensor) -> bool:
    """Whether the values of labels can be had without waiting for a device."""
    return labels.device.type == 'cpu'


def _planes(labels: Tensor, num_classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices (image, class) of the planes to dilate, some at a time.

    On a CPU, of the classes that each image has. On a GPU finding these would make it wait, so they
    are all planes. Labels of no class are -1.
    """
    images = torch.arange(len(labels), device=labels.device)
    chunk = _GPU_CHUNK
    if _knows_values(labels):
        chunk = _CPU_CHUNK
        # A column more, the first, counts the labels of no class.
        columns = images[:, None, None] * (num_classes + 1) + 1 + labels
        counts = torch.bincount(columns.flatten(), minlength=len(labels) * (num_classes + 1))
        planes = counts.view(-1, num_classes + 1)[:, 1:].nonzero()
    else:
        planes = torch.cartesian_prod(images, torch.arange(num_classes, device=labels.device))
    for some in planes.split(max(1, chunk // labels[0].numel())):
        yield some.unbind(1)


def dilation_erosion_targets(
        labels: Tensor,
        num_classes: int,
        radius: int = 32,
        ignore_index: int = 255,
        *,
        footprint: str = 'disk',
        stride: int = 1,
        void: str = 'ignore') -> tuple[Tensor, Tensor]:
    """Compute, per class, the dilated and the eroded ground-truth mask of that class.

    Outside the image counts as "not the class" for the dilation and as "the class" for the erosion.
    A class that is absent is -1 everywhere (docs/method.md, "Losses"). Exact: distances along rows
    first, then one minimum per row of the footprint. Where a single class is dilated to a pixel of
    some class, the pixel survives the erosion.

    Args:
        labels: (N, H, W) integer, values 0 .. num_classes - 1 or ``ignore_index``.
        num_classes: C.
        radius: In pixels of ``labels``.
        ignore_index: Label of ignored pixels.
        footprint: ``'disk'`` (dx^2 + dy^2 <= radius^2) or ``'octagon'`` (MATLAB's ``strel``).
        stride: Return every ``stride``-th target alone, at half-pixel centres (index
            ``stride * i + stride // 2``), which costs much less than all.
        void: What ignored pixels are. ``'ignore'``: of no class; they are neither dilated nor in
            the way of an erosion, and have no targets of their own. ``'class0'``: of class 0, as
            in the released code, where that is the background.

    Returns:
        ``(dilation, erosion)``, each (N, C, h, w) float32 of +1 / -1, or 0 at pixels of no class,
        where h and w are H and W at stride 1 and else the number of sampled rows and columns.
    """
    checks.one_of('void', void, VOIDS)
    half_widths = row_half_widths(radius, footprint)
    limit = max(half_widths) + 1
    no_class = -1 if void == 'ignore' else 0
    # Labels of 8 bits hold no -1.
    labels = labels.to(torch.int16).masked_fill(labels == ignore_index, no_class)
    own = _subsample(_subsample(labels, 1, stride), 2, stride)
    # Most of the result is -1: each plane of a class that is there is written once, and of the
    # erosion only the one entry per pixel that can be +1.
    dilation = torch.full(
        (len(own), num_classes, *own.shape[1:]), -1., device=labels.device)
    erosion = torch.full_like(dilation, -1)
    if own.numel():
        for image, label in _planes(labels, num_classes):
            seeds = labels[image] == label.to(labels.dtype)[:, None, None]
            distance = torch.full_like(seeds, limit, dtype=_distance_type(limit))
            distance = _spread(distance.masked_fill_(seeds, 0), 2, limit - 1)
            dilation[image, label] = _signs(
                _within(_subsample(distance, 2, stride), half_widths, stride, own.shape[1]))
        # A pixel survives the erosion of its class if no other is near it: one +1, the rest -1.
        alone = dilation.sum(dim=1, keepdim=True) == 2 - num_classes
        own = own[:, None].long()
        erosion.scatter_(1, own.clamp(min=0), _signs(alone))
        if void == 'ignore':
            for targets in (dilation, erosion):
                targets.masked_fill_(own < 0, 0)
    return dilation, erosion
