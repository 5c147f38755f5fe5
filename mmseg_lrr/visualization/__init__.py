# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures: arrays of colours and numbers in, arrays of pixels or pages out."""

from .bases_grid import draw_bases
from .colours import paint
from .error_sheet import draw_errors
from .example import Example
from .level_strips import draw_levels
from .mask_sheet import draw_masks
from .sheet import save_png

__all__ = ['Example', 'draw_bases', 'draw_errors', 'draw_levels', 'draw_masks', 'paint',
           'save_png']
