# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The command line that computes class bases."""

import sys
from collections.abc import Callable
from pathlib import Path

import compute_bases
import numpy as np
import pytest
from demo_shapes import make_shapes_dataset

CONFIG = """
custom_imports = dict(imports=['mmseg_lrr'])
model = dict(decode_head=dict(num_classes=7, num_bases=4))
train_dataloader = dict(
    dataset=dict(
        type='RepeatDataset',
        times=3,
        dataset=dict(
            type='BaseSegDataset',
            metainfo=dict(classes=tuple('abcdefg')),
            data_root={root!r},
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/train.txt')))
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., np.ndarray]:
    """Compute the bases of 20 shapes; further arguments are the command line's."""
    shapes = make_shapes_dataset(tmp_path / 'data', num_train=20, num_val=1, size_range=(64, 80))
    (tmp_path / 'config.py').write_text(CONFIG.format(root=str(shapes)))

    def run(*arguments: object) -> np.ndarray:
        command = ['compute_bases.py', tmp_path / 'config.py', tmp_path / 'bases.npy', *arguments]
        monkeypatch.setattr(sys, 'argv', [str(argument) for argument in command])
        compute_bases.main()
        return np.load(tmp_path / 'bases.npy')

    return run


def test_it_writes_the_file(call: Callable, capsys: pytest.CaptureFixture) -> None:
    bases = call('--patches', 200)
    assert bases.shape == (7, 4, 32, 32) and bases.dtype == np.float32
    assert np.abs(bases).max(axis=(1, 2, 3)).min() > 0.1
    assert 'float32 (7, 4, 32, 32)' in capsys.readouterr().out
    np.testing.assert_array_equal(call('--patches', 200), bases)
    assert (call('--patches', 200, '--seed', 1) != bases).any()


def test_it_needs_no_model(call: Callable, tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text(config.read_text().replace('model =', 'unused ='))
    options = ['--num-bases', 2, '--cfg-options', 'train_dataloader.dataset.times=1']
    assert call('--patches', 100, *options).shape == (7, 2, 32, 32)
