# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Data sets, and the class bases computed from them."""

from . import transforms
from .camvid import CamVidDataset
from .class_bases import compute_class_bases
from .label_maps import LabelMaps
from .one_scale_per_batch import OneScalePerBatch

__all__ = ['CamVidDataset', 'LabelMaps', 'OneScalePerBatch', 'compute_class_bases', 'transforms']
