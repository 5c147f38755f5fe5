# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Layers of the pyramid."""

from .basis_reconstruction import BasisReconstruction
from .boundary_mask import BoundaryMask
from .dilation_erosion_branch import DilationErosionBranch, branch_levels, coefficient_conv
from .pyramid_upsample import PyramidUpsample, crop

__all__ = [
    'BasisReconstruction', 'BoundaryMask', 'DilationErosionBranch', 'PyramidUpsample',
    'branch_levels', 'coefficient_conv', 'crop'
]
