# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo's data set of textured shapes."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_lrr.datasets.shapes_generator import SHAPE_CLASSES, SHAPE_PALETTE


@DATASETS.register_module()
class ShapesDataset(BaseSegDataset):
    """Procedurally drawn shapes in VOC's layout.

    :func:`mmseg_lrr.datasets.shapes_generator.make_shapes_dataset` makes the files.

    Args:
        ann_file: Text file with the split's image names, one a line, without suffix.
        data_prefix: Folders of images and label maps, relative to ``data_root``; VOC's if not
            given.
        **kwargs: Further arguments of :class:`mmseg.datasets.BaseSegDataset`.
    """

    METAINFO = dict(classes=SHAPE_CLASSES, palette=[list(colour) for colour in SHAPE_PALETTE])

    def __init__(
        self, *, ann_file: str, data_prefix: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        if data_prefix is None:
            data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)
