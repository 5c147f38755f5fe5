# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures."""

from .panels import level_panel, paint

__all__ = ['level_panel', 'paint']
