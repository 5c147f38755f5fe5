# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmseg.registry import DATASETS

from mmseg_lrr.datasets import LabelMaps


def test_real_files(shared_data: Callable[[str], Path]) -> None:
    dataset = DATASETS.build(dict(type='CamVidDataset', data_root=str(shared_data('camvid')),
                                  ann_file='ImageSets/Segmentation/val.txt'))
    assert len(dataset) == 101 and dataset.metainfo['classes'][:4] == (
        'sky', 'building', 'pole', 'road')
    assert len({tuple(colour) for colour in dataset.metainfo['palette']}) == 11
    label_maps = LabelMaps(dataset)
    counts = sum(np.bincount(label_maps[i].ravel(), minlength=256) for i in range(0, 101, 10))
    assert label_maps[0].shape == (360, 480)
    # Every class is in the street scenes; building and road fill most of them.
    assert counts[:11].min() > 0
    assert set(np.argsort(counts[:11])[-2:]) == {1, 3}
