# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Hooks of the runner."""

from .class_bases_hook import ClassBasesHook

__all__ = ['ClassBasesHook']
