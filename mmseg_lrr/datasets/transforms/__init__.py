# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Transforms."""

from .check_labels import CheckLabels
from .keep_original_image import KeepOriginalImage
from .load_annotations_if_any import LoadAnnotationsIfAny
from .resize_to_canvas import ResizeToCanvas
from .scale_augmentation import RatioAugmentation, ScaleAugmentation, ScaleToSquare

__all__ = [
    'CheckLabels', 'KeepOriginalImage', 'LoadAnnotationsIfAny', 'RatioAugmentation',
    'ResizeToCanvas', 'ScaleAugmentation', 'ScaleToSquare'
]
