# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""CamVid with its usual eleven classes."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_lrr.datasets.listed_files import ListedDataset


@DATASETS.register_module()
class CamVidDataset(ListedDataset):
    """CamVid (Brostow et al.), 11 classes, in VOC's layout.

    Images lie in ``JPEGImages/*.jpg``, indexed label maps (255 = ignore) in
    ``SegmentationClass/*.png``, and the names of a split in a text file. The palette has the
    data set's own colours.

    Args:
        ann_file, data_prefix, **kwargs: those of :class:`ListedDataset`.
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
