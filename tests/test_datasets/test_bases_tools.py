# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The command lines that compute class bases."""

import importlib.util
import sys

import numpy as np
import pytest

from mmseg_lrr.datasets import make_shapes_dataset

CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_lrr'])
model = dict(decode_head=dict(num_classes=7, num_bases=4))
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type='RepeatDataset',
        times=3,
        dataset=dict(
            type='ShapesDataset',
            data_root={root!r},
            ann_file='ImageSets/Segmentation/train.txt',
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')])))
"""


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes') / 'data'
    return make_shapes_dataset(root, num_train=20, num_val=1, size_range=(64, 80))


@pytest.fixture
def call(repo_root, monkeypatch):
    def run(tool, *arguments):
        path = repo_root / 'tools' / tool
        # As Python does for a script.
        monkeypatch.syspath_prepend(path.parent)
        spec = importlib.util.spec_from_file_location('tool', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        module.main()

    return run


@pytest.fixture
def config(tmp_path, shapes):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=str(shapes)))
    return path


def test_compute_bases_writes_the_file(call, config, tmp_path, capsys):
    out = tmp_path / 'bases.npy'
    call('compute_bases.py', config, out, '--patches', 200)
    bases = np.load(out)
    assert bases.shape == (7, 4, 32, 32) and bases.dtype == np.float32
    assert np.abs(bases).max(axis=(1, 2, 3)).min() > 0.1
    assert 'float32 (7, 4, 32, 32)' in capsys.readouterr().out
    call('compute_bases.py', config, tmp_path / 'again.npy', '--patches', 200)
    assert out.read_bytes() == (tmp_path / 'again.npy').read_bytes()
    call('compute_bases.py', config, tmp_path / 'other.npy', '--patches', 200, '--seed', 1)
    assert out.read_bytes() != (tmp_path / 'other.npy').read_bytes()


def test_compute_bases_needs_no_model(call, config, tmp_path):
    config.write_text(config.read_text().replace('model =', 'unused ='))
    out = tmp_path / 'bases.npy'
    options = ['--num-bases', 2, '--cfg-options', 'train_dataloader.dataset.times=1']
    call('compute_bases.py', config, out, '--patches', 100, *options)
    assert np.load(out).shape == (7, 2, 32, 32)


@pytest.mark.parametrize(
    'arguments',
    [
        ['out.txt'],
        ['out.npy', '--patches', '0'],
        ['out.npy', '--num-bases', '0'],
        ['out.npy', '--seed', '-1'],
    ],
)
def test_compute_bases_refuses_bad_arguments(call, config, capsys, arguments):
    with pytest.raises(SystemExit):
        call('compute_bases.py', config, *arguments)  # stops before it reads anything
    assert arguments[-1] in capsys.readouterr().err
