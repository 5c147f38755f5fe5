# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Data sets, and the class bases computed from them."""

from . import transforms
from .camvid import CamVidDataset
from .class_bases import compute_class_bases
from .label_maps import LabelMaps
from .shapes import ShapesDataset
from .shapes_generator import make_shapes_dataset

__all__ = [
    'CamVidDataset',
    'LabelMaps',
    'ShapesDataset',
    'compute_class_bases',
    'make_shapes_dataset',
    'transforms',
]
