# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo's data set of textured shapes."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_lrr.datasets.listed_files import ListedDataset
from mmseg_lrr.datasets.shapes_generator import SHAPE_CLASSES, SHAPE_PALETTE


@DATASETS.register_module()
class ShapesDataset(ListedDataset):
    """Procedurally drawn shapes in VOC's layout.

    :func:`mmseg_lrr.datasets.shapes_generator.make_shapes_dataset` makes the files.

    Args:
        ann_file, data_prefix, **kwargs: those of :class:`ListedDataset`.
    """

    METAINFO = dict(classes=SHAPE_CLASSES, palette=[list(colour) for colour in SHAPE_PALETTE])
