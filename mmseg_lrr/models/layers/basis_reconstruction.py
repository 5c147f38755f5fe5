# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Coefficients to scores through the basis functions of each class."""

import torch
import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.bases import PATCH_SIZE, dct_basis_functions, resize_bases
from mmseg_lrr.ops.reconstruction import reconstruct

#: Largest upsampling.
MAX_FACTOR = 256


@MODELS.register_module()
class BasisReconstruction(nn.Module):
    """Each class's score map as a weighted sum of its basis functions (spec section 1.2).

    Starts with the lowest two-dimensional cosines, until :meth:`set_bases` brings the classes' own.

    Args:
        num_classes: number of classes C.
        num_bases: basis functions a class, K; at most 1024, the dimensions of a 32x32 patch.
        factor: upsampling u; even, at most 256. A basis function is 2u x 2u pixels of the score
            map.
        learned: whether the bases are a parameter; else a buffer, as in the released code.
    """

    def __init__(self, *, num_classes: int, num_bases: int = 10, factor: int = 4,
                 learned: bool = False) -> None:
        super().__init__()
        self.num_classes = checks.integer('num_classes', num_classes, 1)
        self.num_bases = checks.integer('num_bases', num_bases, 1, PATCH_SIZE**2)
        self.factor = checks.integer('factor', factor, 2, MAX_FACTOR)
        if factor % 2:
            raise ValueError(f'factor must be an even integer >= 2, got {factor}')
        bases = resize_bases(dct_basis_functions(num_classes, num_bases), 2 * factor)
        if checks.boolean('learned', learned):
            self.bases = nn.Parameter(bases)
        else:
            self.register_buffer('bases', bases)

    @torch.no_grad()
    def set_bases(self, bases: Tensor) -> None:
        """Take over ``bases`` (C, K, 32, 32), resized to this level's (C, K, 2u, 2u)."""
        self.bases.copy_(resize_bases(bases, 2 * self.factor))

    def forward(self, coefficients: Tensor) -> Tensor:
        """(N, C * K, h, w) coefficients, class-major -> (N, C, u * h, u * w) scores."""
        return reconstruct(coefficients, self.bases)

    def extra_repr(self) -> str:
        return (f'num_classes={self.num_classes}, num_bases={self.num_bases}, '
                f'factor={self.factor}')
