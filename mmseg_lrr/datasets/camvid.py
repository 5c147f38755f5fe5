# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""CamVid with its usual eleven classes."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid (Brostow et al.), 11 classes, in VOC's layout.

    Images lie in ``JPEGImages/*.jpg``, indexed label maps (255 = ignore) in
    ``SegmentationClass/*.png``, and the names of a split in a text file. The palette has the
    data set's own colours.

    Args:
        ann_file: Text file with the split's image names, one a line, without suffix.
        data_prefix: Folders of images and label maps, relative to ``data_root``; VOC's if not
            given.
        **kwargs: Further arguments of :class:`mmseg.datasets.BaseSegDataset`.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'pavement',
            'tree',
            'signsymbol',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [0, 0, 192],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )

    def __init__(
        self, *, ann_file: str, data_prefix: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        if data_prefix is None:
            data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)
