# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Layers of the pyramid."""

from .basis_reconstruction import BasisReconstruction
from .boundary_mask import BoundaryMask
from .coefficient_conv import CoefficientConv
from .dilation_erosion_branch import DilationErosionBranch
from .lrr_level import LRRLevel

__all__ = [
    'BasisReconstruction', 'BoundaryMask', 'CoefficientConv', 'DilationErosionBranch', 'LRRLevel'
]
