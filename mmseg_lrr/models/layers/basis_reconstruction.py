# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Coefficients to scores through the basis functions of each class."""

import torch
import torch.nn as nn
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops.bases import PATCH_SIZE, dct_basis_functions, resize_bases
from mmseg_lrr.ops.reconstruction import reconstruct


@MODELS.register_module()
class BasisReconstruction(nn.Module):
    """Each class's score map as a weighted sum of its basis functions.

    Starts with the lowest two-dimensional cosines, until :meth:`set_bases` brings the classes' own.

    Args:
        num_classes: Number of classes C.
        num_bases: Number of basis functions per class, K.
        factor: u, the factor from coefficients to scores; even. A basis function is 2u x 2u pixels
            of the score map.
        learned: Whether the basis functions are a parameter; otherwise they are a buffer, as in
            the released code.
    """

    def __init__(self, *, num_classes: int, num_bases: int = 10, factor: int = 4,
                 learned: bool = False) -> None:
        super().__init__()
        self.factor = factor
        bases = resize_bases(dct_basis_functions(num_classes, num_bases), 2 * factor)
        if learned:
            self.bases = nn.Parameter(bases)
        else:
            self.register_buffer('bases', bases)

    @torch.no_grad()
    def set_bases(self, bases: Tensor) -> None:
        """Take over ``bases`` (C, K, 32, 32), resized to this level's (C, K, 2u, 2u)."""
        expected = (*self.bases.shape[:2], PATCH_SIZE, PATCH_SIZE)
        if bases.shape != expected:
            raise ValueError(f'bases must have the shape (num_classes, num_bases, {PATCH_SIZE}, '
                             f'{PATCH_SIZE}) = {expected}, got {tuple(bases.shape)}')
        self.bases.copy_(resize_bases(bases, 2 * self.factor))

    def forward(self, coefficients: Tensor) -> Tensor:
        """(N, C * K, h, w) coefficients, class-major -> (N, C, u * h, u * w) scores."""
        return reconstruct(coefficients, self.bases)

    def extra_repr(self) -> str:
        return 'num_classes={}, num_bases={}, factor={}'.format(*self.bases.shape[:2], self.factor)
