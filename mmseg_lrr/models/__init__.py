# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Registered model components, laid out as MMSegmentation's own."""

from .backbones import VGG16FC
from .data_preprocessor import LRRDataPreProcessor
from .decode_heads import FCNSkipHead, LRRHead, LRRRefineHead
from .layers import BasisReconstruction, BoundaryMask, DilationErosionBranch, LRRLevel
from .losses import DilationErosionLoss, LevelCrossEntropyLoss
from .post_processing import DenseCRF
from .segmentors import LRRCascadeEncoderDecoder, LRREncoderDecoder, LRRTTAModel

__all__ = [
    'BasisReconstruction', 'BoundaryMask', 'DenseCRF', 'DilationErosionBranch',
    'DilationErosionLoss', 'FCNSkipHead', 'LRRCascadeEncoderDecoder', 'LRRDataPreProcessor',
    'LRREncoderDecoder', 'LRRHead', 'LRRLevel', 'LRRRefineHead', 'LRRTTAModel',
    'LevelCrossEntropyLoss', 'VGG16FC'
]
