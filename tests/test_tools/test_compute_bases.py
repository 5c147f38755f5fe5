# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The command line that computes class bases."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from demo_shapes import make_shapes_dataset
from mmengine.config import Config


def test_it_writes_the_file(tmp_path: Path, call: Callable) -> None:
    """Of a wrapped data set too, with and without a model to say how many there are."""
    shapes = make_shapes_dataset(tmp_path / 'data', num_train=10, num_val=1, size_range=(64, 80))
    dataset = dict(
        type='BaseSegDataset', metainfo=dict(classes=tuple('abcdefg')), data_root=str(shapes),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/train.txt')
    config = Config(dict(
        model=dict(decode_head=dict(num_classes=7, num_bases=4)),
        train_dataloader=dict(dataset=dict(type='RepeatDataset', times=3, dataset=dataset))))
    config.dump(tmp_path / 'config.py')

    def bases(*options: object) -> np.ndarray:
        printed = call('compute_bases.py', tmp_path / 'config.py', tmp_path / 'bases.npy',
                       '--patches', 30, *options)
        found = np.load(tmp_path / 'bases.npy')
        assert f'float32 {found.shape}' in printed and found.dtype == np.float32
        return found

    first = bases()
    assert first.shape == (7, 4, 32, 32) and np.abs(first).max(axis=(1, 2, 3)).min() > 0.1
    np.testing.assert_array_equal(bases(), first)
    assert (bases('--seed', 1) != first).any()
    config.pop('model')
    config.dump(tmp_path / 'config.py')
    options = ['--num-bases', 2, '--cfg-options', 'train_dataloader.dataset.times=1']
    assert bases(*options).shape == (7, 2, 32, 32)
