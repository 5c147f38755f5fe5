# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""CamVid with its usual eleven classes."""

from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid (Brostow et al.), 11 classes, in VOC's layout.

    Args:
        data_prefix: Folders of images (``*.jpg``) and indexed label maps (``*.png``, 255 =
            ignore), relative to ``data_root``. VOC's if None.
        **kwargs: Further arguments of :class:`mmseg.datasets.BaseSegDataset`; ``ann_file`` lists a
            split's names, one per line, without suffix.
    """

    METAINFO = dict(
        classes=('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence',
                 'car', 'pedestrian', 'bicyclist'),
        palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192],
                 [128, 128, 0], [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0],
                 [0, 128, 192]])

    def __init__(self, *, data_prefix: dict[str, str] | None = None, **kwargs: Any) -> None:
        if data_prefix is None:
            data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
        super().__init__(data_prefix=data_prefix, **kwargs)
