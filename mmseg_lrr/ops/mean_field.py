# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Mean-field inference in a fully connected CRF with Potts compatibility.

Source: Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
Potentials" (NIPS 2011), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .permutohedral import Lattice, blocks, blur, slice_points, splat


def renormalise(probs: Tensor) -> Tensor:
    """Make values sum to 1 over the classes.

    Args:
        probs: ``(C, N)`` float32; values below 0 count as 0.

    Returns:
        ``(C, N)``, in [0, 1]; 1 / C each for a point whose values are all 0.
    """
    probs = probs.clamp(min=0)
    total = probs.sum(0)
    nothing = total == 0
    return probs.add_(nothing).div_(total.add_(nothing, alpha=len(probs)))


def log_probabilities(probs: Tensor, floor: float) -> Tensor:
    """Return the logarithms of renormalised probabilities, the negative unary energies.

    Args:
        probs: ``(C, N)``, floating point; renormalised as in :func:`renormalise`.
        floor: Probabilities below it count as ``floor``: the logarithm of 0 is infinite.

    Returns:
        ``(N, C)`` float32.
    """
    num_classes, num_points = probs.shape
    result = probs.new_empty(num_points, num_classes, dtype=torch.float32)
    for points in blocks(num_points, probs.device):
        block = renormalise(probs[:, points].to(torch.float32))
        result[points] = block.clamp_(min=floor).log_().t()
    return result


def mean_field(log_unary: Tensor, lattices: Sequence[Lattice], iterations: int) -> Tensor:
    """Run mean-field iterations.

    Args:
        log_unary: ``(N, C)`` float32, the negative unary energies of N points.
        lattices: One pairwise kernel each, normalised and weighted
            (:func:`~mmseg_lrr.ops.permutohedral.normalise`).
        iterations: Number of iterations.

    Returns:
        ``(N, C)`` float32: Q, the marginals; they sum to 1 over the classes.
    """
    marginals = torch.softmax(log_unary, dim=1)
    num_classes = log_unary.shape[1]
    rows = [len(lattice.blur_weights) for lattice in lattices]
    tables = [log_unary.new_empty(num, num_classes) for num in rows]
    spare = log_unary.new_empty(max(rows), num_classes)
    for _ in range(iterations):
        # All of Q is spread over the vertices first, so Q can be replaced block by block.
        for lattice, table in zip(lattices, tables, strict=True):
            # Each direction of the blur swaps the two tables; the result has to end in `table`.
            pair = (table, spare[:len(table)])
            first, second = pair if len(lattice.neighbours) % 2 == 0 else pair[::-1]
            blur(lattice, splat(lattice, marginals, out=first), spare=second)
        for points in blocks(len(marginals), marginals.device):
            energies = log_unary[points].clone()
            for lattice, table in zip(lattices, tables, strict=True):
                energies += slice_points(lattice, table, points)
            torch.softmax(energies, dim=1, out=marginals[points])
    return marginals
