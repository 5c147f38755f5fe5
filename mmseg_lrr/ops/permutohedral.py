# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Gaussian filtering of high-dimensional points on the permutohedral lattice.

The filter approximates ``out_i = sum_j exp(-|f_i - f_j|^2 / 2) in_j`` over all pairs of points in
three linear steps: every point spreads its value over the D + 1 vertices of the lattice simplex
that it lies in (splat), the vertices exchange values along the D + 1 lattice directions (blur),
and every point gathers its result from its vertices (slice). Each step is a sum of weighted rows,
which is what ``embedding_bag`` computes; one sort of integer keys finds the vertices.

Source: Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice"
(Eurographics 2010). Scales, roundings and the order of the blur's directions follow the densecrf
code of Kraehenbuehl and Koltun (2011), so that both give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

# Furthest that a point may lie from the origin, in lattice cells: beyond, float32 is too coarse to
# tell which simplex it is in.
_FURTHEST = 2**20
_TOO_SMALL = 'the standard deviations are too small to tell lattice cells apart by 64-bit keys'

# Points or vertices taken at a time. On a CPU, a block's rows stay in the cache, and written into
# a tensor that is used again they spare the page faults of a fresh one, which would cost more
# than the sums; elsewhere the size only bounds the temporary memory.
CPU_BLOCK = 16384
DEVICE_BLOCK = 1 << 19


@dataclass(frozen=True)
class Lattice:
    """Where N points of D dimensions lie in the lattice; M vertices are in use.

    Attributes:
        splat_points: ``(N * (D + 1),)`` int32, the points that touch a vertex, vertex by vertex.
        splat_weights: ``(N * (D + 1),)`` float32, their barycentric weights.
        splat_offsets: ``(M + 2,)`` int32, where each vertex's points begin and end. The last
            group is empty: it is the zero row that stands for all vertices not in use.
        splat_bounds: Where the points of each block of vertices begin and end.
        slice_vertices: ``(N, D + 1)`` int32, each point's vertices.
        slice_weights: ``(N, D + 1)`` float32, barycentric weights times the filter's scale.
        neighbours: ``(D + 1, M + 1, 3)`` int32: each vertex and its two neighbours along a
            direction; M, the zero row, where a neighbour is not in use.
        blur_weights: ``(M + 1, 3)`` float32: 1, 1/2, 1/2.
    """

    splat_points: Tensor
    splat_weights: Tensor
    splat_offsets: Tensor
    splat_bounds: tuple[tuple[int, int], ...]
    slice_vertices: Tensor
    slice_weights: Tensor
    neighbours: Tensor
    blur_weights: Tensor


def blocks(num_rows: int, device: torch.device) -> Iterator[slice]:
    """Cut ``num_rows`` rows into slices of the size that suits the device."""
    size = CPU_BLOCK if device.type == 'cpu' else DEVICE_BLOCK
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def _scales(dims: int) -> list[float]:
    """Return what each feature is multiplied by before the elevation.

    The diagonal of the elevation (Adams et al., p. 5) times the lattice's own standard deviation
    (p. 6), with the roundings of the densecrf code: points on a simplex's border would otherwise
    fall on its other side.
    """
    deviation = torch.tensor(math.sqrt(2 / 3) * (dims + 1), dtype=torch.float32).item()
    return [deviation / math.sqrt((i + 1) * (i + 2)) for i in range(dims)]


def enclosing_simplex(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the lattice simplex that each point lies in.

    Args:
        features: ``(D, N)`` float32, the points in units of the Gaussian's standard deviation.

    Returns:
        Three ``(D + 1, N)`` tensors: the coordinates of the simplex's vertex of remainder 0,
        divided by D + 1 (float32, whole numbers); ``order`` (int64), a permutation for each point:
        the vertex of remainder r is the one of remainder 0 plus r, less D + 1 in the coordinates
        whose ``order`` is below r; and the barycentric weights of the vertices of remainder 0..D
        (float32).
    """
    dims, num_points = features.shape
    elevated = features.new_empty(dims + 1, num_points)
    total = features.new_zeros(num_points)
    for i, scale in reversed(list(enumerate(_scales(dims)))):
        scaled = features[i] * scale
        torch.sub(total, scaled * (i + 1), out=elevated[i + 1])
        total += scaled
    elevated[0] = total

    inverse = torch.tensor(1 / (dims + 1), dtype=torch.float32).item()
    cell = torch.round(elevated * inverse)
    difference = elevated - cell * (dims + 1)
    # The rank of a coordinate: how many of the differences are larger. Where the rounded
    # coordinates do not sum to zero, the vertex is off the lattice's plane, and the coordinates
    # that were rounded furthest (their ranks leave 0..D) move by one cell.
    rank = torch.arange(dims + 1, device=features.device).unsqueeze(1) + cell.sum(0)
    rank = rank.to(torch.int8)
    for i in range(dims):
        for j in range(i + 1, dims + 1):
            smaller = (difference[i] < difference[j]).view(torch.int8)
            rank[i] += smaller
            rank[j] -= smaller
    shift = (rank < 0).view(torch.int8) - (rank > dims).view(torch.int8)
    rank += shift * (dims + 1)
    cell += shift

    order = dims - rank.long()
    difference = (elevated - cell * (dims + 1)) * inverse
    ascending = torch.empty_like(difference).scatter_(0, order, difference)
    weights = ascending.clone()
    weights[1:] -= ascending[:-1]
    weights[0] += 1 - ascending[dims]
    return cell, order, weights


def _packing(features: Tensor, slowest_first: Sequence[int]) -> tuple[list[int], int, int]:
    """Choose how a vertex's coordinates ``(D + 1) q_i + r`` are packed into one integer.

    A vertex's place along feature k is ``U_k = q_0 + .. + q_k - (k + 1) q_(k + 1)``, up to a
    factor. As the coordinates sum to zero, these D whole numbers name the vertex (r follows); the
    key has them as its digits.

    Returns:
        What each of the quotients ``q_0 .. q_D`` is worth in a key, the key's constant, and the
        number that all keys are below.
    """
    dims = features.shape[0]
    scales = [math.sqrt(2 / 3 * (k + 1) * (k + 2)) for k in range(dims)]
    low, high = torch.stack(torch.aminmax(features, dim=1)).tolist()
    if not all(abs(v) * s <= _FURTHEST for bound in (low, high)
               for v, s in zip(bound, scales, strict=True)):
        raise ValueError(_TOO_SMALL)
    worth, constant, cells = [0] * (dims + 1), 0, 1
    for k in reversed(slowest_first):
        # U_k differs by at most k + 1 between a point and its simplex's vertices, and between
        # these and their neighbours; one more for the rounding of the features.
        margin = 2 * (k + 1) + 1
        lowest = math.floor(scales[k] * low[k]) - margin
        highest = math.ceil(scales[k] * high[k]) + margin
        for i in range(k + 1):
            worth[i] += cells
        worth[k + 1] -= (k + 1) * cells
        constant -= lowest * cells
        cells *= highest - lowest + 1
    if cells > 2**63:
        raise ValueError(_TOO_SMALL)
    return worth, constant, cells


def build_lattice(features: Tensor, slowest_first: Sequence[int], num_empty: int = 0) -> Lattice:
    """Place points in the permutohedral lattice.

    Args:
        features: ``(D, N + num_empty)`` float32, the points in units of the Gaussian's standard
            deviation.
        slowest_first: All features' indices, the one that changes slowest from point to point
            first. Vertices are numbered in this order; where neighbouring points have
            neighbouring vertices, the memory is read in order, which only matters for the speed.
        num_empty: Number of points at the end that have no value. They are none of the N points,
            but their vertices are in use and pass values on.

    Raises:
        ValueError: The standard deviations are too small for the points: one lies too far out for
            float32, or they span more lattice cells than a 64-bit key can tell apart.
    """
    dims, num_points = features.shape
    num_pairs, num_filled = num_points * (dims + 1), num_points - num_empty
    device = features.device
    worth, constant, cells = _packing(features, slowest_first)
    # Half the digits are sorted in half the time.
    dtype = torch.int32 if cells <= 2**31 else torch.int64
    steps = torch.tensor(worth, device=device).unsqueeze(1)
    keys = torch.empty(num_points, dims + 1, dtype=dtype, device=device)
    weights = features.new_empty(num_points, dims + 1)
    for points in blocks(num_points, device):
        cell, order, block_weights = enclosing_simplex(features[:, points])
        corner = (cell.long() * steps).sum(0).add_(constant)
        # From one remainder to the next, one more coordinate moves down by a cell.
        moves = torch.empty_like(order).scatter_(0, order, steps.expand_as(order))
        keys[points, 0] = corner
        keys[points, 1:] = (corner - moves[:dims].cumsum(0)).t()
        weights[points] = block_weights.t()
    weights[num_filled:] = 0
    keys, pairs = torch.sort(keys.view(-1), stable=True)

    first = torch.ones_like(keys, dtype=torch.bool)
    torch.ne(keys[1:], keys[:-1], out=first[1:])
    starts = first.nonzero().squeeze(1)
    keys = keys[starts]
    slice_vertices = torch.empty(num_points, dims + 1, dtype=torch.int32, device=device)
    slice_vertices.view(-1)[pairs] = torch.cumsum(first, 0, dtype=torch.int32).sub_(1)
    splat_weights = weights.view(-1)[pairs]
    # A vertex's own value comes back to it by two more ways, once up or once down along every
    # direction, each worth 2^-(D + 1): dividing makes the Gaussian 1 at distance 0.
    weights /= 1 + 2.0**-dims
    offsets = F.pad(starts.to(torch.int32), (0, 2), value=num_pairs)
    rows = list(blocks(len(offsets) - 1, device))
    bounds = offsets[[row.start for row in rows]].tolist() + [num_pairs]
    splat_points = pairs.div_(dims + 1, rounding_mode='floor').clamp_(max=num_filled - 1)
    splat_points = splat_points.to(torch.int32)
    del pairs, first, starts
    return Lattice(
        splat_points=splat_points,
        splat_weights=splat_weights,
        splat_offsets=offsets,
        splat_bounds=tuple(zip(bounds[:-1], bounds[1:], strict=True)),
        slice_vertices=slice_vertices[:num_filled],
        slice_weights=weights[:num_filled],
        neighbours=_neighbours(keys, worth),
        blur_weights=torch.tensor([1.0, 0.5, 0.5], device=device).repeat(len(keys) + 1, 1),
    )


def _neighbours(keys: Tensor, worth: Sequence[int]) -> Tensor:
    """Find the vertices' neighbours along the D + 1 lattice directions.

    Along direction j, coordinate j changes by D and all the others by 1 in the opposite sense.
    """
    num_vertices = len(keys)
    neighbours = torch.full(
        (len(worth), num_vertices + 1, 3), num_vertices, dtype=torch.int32, device=keys.device)
    neighbours[:, :, 0] = torch.arange(num_vertices + 1, device=keys.device)
    for direction, step in enumerate(worth):
        # One less in every coordinate is worth nothing in a key, a cell more in this one is.
        wanted = keys + step
        found = torch.searchsorted(keys, wanted).clamp_(max=num_vertices - 1)
        vertices = (keys[found] == wanted).nonzero().squeeze(1)
        others = found[vertices]
        neighbours[direction, vertices, 1] = others.to(torch.int32)
        neighbours[direction, others, 2] = vertices.to(torch.int32)
    return neighbours


def _sum_rows(
    table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """Sum the rows of a table that each row of ``rows``, or each group of them, names."""
    return F.embedding_bag(rows, table, offsets, mode='sum', per_sample_weights=weights,
                           include_last_offset=offsets is not None)


def splat(lattice: Lattice, values: Tensor, out: Tensor | None = None) -> Tensor:
    """Spread values of the points over the vertices.

    Args:
        lattice: The lattice.
        values: ``(N, C)`` float32.
        out: ``(M + 1, C)`` float32, where to write the result.

    Returns:
        ``(M + 1, C)``; the last row is zero: it stands for all vertices that are not in use.
    """
    num_rows = len(lattice.blur_weights)
    out = values.new_empty(num_rows, values.shape[1]) if out is None else out
    rows = blocks(num_rows, values.device)
    for block, (begin, end) in zip(rows, lattice.splat_bounds, strict=True):
        out[block] = _sum_rows(
            values, lattice.splat_points[begin:end], lattice.splat_weights[begin:end],
            lattice.splat_offsets[block.start:block.stop + 1] - begin)
    return out


def blur(lattice: Lattice, table: Tensor, spare: Tensor | None = None) -> Tensor:
    """Blur values of the vertices along one direction after the other.

    Args:
        lattice: The lattice.
        table: ``(M + 1, C)`` float32, the last row zero; overwritten.
        spare: Another such table, of any values, to work in.

    Returns:
        ``(M + 1, C)``: ``table`` where D is odd, else ``spare``.
    """
    spare = torch.empty_like(table) if spare is None else spare
    for neighbours in lattice.neighbours:
        for block in blocks(len(table), table.device):
            spare[block] = _sum_rows(table, neighbours[block], lattice.blur_weights[block])
        table, spare = spare, table
    return table


def slice_points(lattice: Lattice, table: Tensor, points: slice = slice(None)) -> Tensor:
    """Gather the ``(n, C)`` values of ``n`` of the points from the ``(M + 1, C)`` vertices."""
    return _sum_rows(table, lattice.slice_vertices[points], lattice.slice_weights[points])


def gaussian_filter(lattice: Lattice, values: Tensor) -> Tensor:
    """Filter ``(N, C)`` float32 values of the points; the Gaussian is not normalised."""
    return slice_points(lattice, blur(lattice, splat(lattice, values)))


def normalise(lattice: Lattice, weight: float = 1.0) -> Lattice:
    """Turn the filter K of a lattice into ``weight * S K S``, S the diagonal of 1 / sqrt(K 1).

    This is the symmetric normalisation of the densecrf code.
    """
    ones = lattice.slice_weights.new_ones(len(lattice.slice_weights), 1)
    scale = (gaussian_filter(lattice, ones) + 1e-20).rsqrt()
    splat_scale = scale.view(-1).index_select(0, lattice.splat_points)
    return replace(
        lattice,
        splat_weights=splat_scale.mul_(lattice.splat_weights),
        slice_weights=lattice.slice_weights * (scale * weight),
    )
