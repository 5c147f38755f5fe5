# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Registered model components, laid out as MMSegmentation's own."""

from .backbones import VGG16FC
from .decode_heads import LRRHead
from .layers import BasisReconstruction, BoundaryMask, DilationErosionBranch, PyramidUpsample
from .losses import DilationErosionLoss, LevelCrossEntropyLoss
from .segmentors import LRREncoderDecoder, LRRTTAModel

__all__ = [
    'BasisReconstruction', 'BoundaryMask', 'DilationErosionBranch', 'DilationErosionLoss',
    'LRREncoderDecoder', 'LRRHead', 'LRRTTAModel', 'LevelCrossEntropyLoss', 'PyramidUpsample',
    'VGG16FC'
]
