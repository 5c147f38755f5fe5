# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What runs around the model."""

from .hooks import ClassBasesHook, ProgressBarHook

__all__ = ['ClassBasesHook', 'ProgressBarHook']
