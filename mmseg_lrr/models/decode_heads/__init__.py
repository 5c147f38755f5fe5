# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Decode heads."""

from .fcn_skip_head import FCNSkipHead
from .lrr_head import LRRHead
from .lrr_refine_head import LRRRefineHead

__all__ = ['FCNSkipHead', 'LRRHead', 'LRRRefineHead']
