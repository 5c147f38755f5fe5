# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Losses."""

from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets

from .accuracy import accuracy
from .dilation_erosion_loss import DilationErosionLoss, logistic_loss
from .level_cross_entropy import LevelCrossEntropyLoss

__all__ = [
    'DilationErosionLoss', 'LevelCrossEntropyLoss', 'accuracy', 'dilation_erosion_targets',
    'logistic_loss'
]
