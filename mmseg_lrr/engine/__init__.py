# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What runs around the model."""

from .hooks import (
    ClassBasesHook,
    LRRCheckpointHook,
    LRRVisualizationHook,
    NonFiniteHook,
    ProgressBarHook,
    ResetMomentumHook,
)
from .test_loop import LRRTestLoop

__all__ = ['ClassBasesHook', 'LRRCheckpointHook', 'LRRTestLoop', 'LRRVisualizationHook',
           'NonFiniteHook', 'ProgressBarHook', 'ResetMomentumHook']
