# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A disk that is full gives an error, keeps the old file and leaves no half of the new one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg_lrr.converters.from_matconvnet import Conversion
from tiny_project import full_disk

from mmseg_lrr.converters.mat_file import write_mat
from mmseg_lrr.datasets.class_bases import save_class_bases
from mmseg_lrr.engine.hooks.lrr_checkpoint_hook import WholeFilesBackend
from mmseg_lrr.evaluation.label_png import save_label_png
from mmseg_lrr.visualization.panels import save_png
from mmseg_lrr.visualization.plots import plot_trimap_curves, write_trimap_csv

_NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
_CURVES = {'4x': {width: 50. + width / 7 for width in range(1, 300)}}

#: What writes a file of some thousand bytes.
WRITERS: dict[str, Callable[[Path], object]] = {
    'checkpoint': lambda path: WholeFilesBackend().put(_NOISE.tobytes(), path),
    'bases': lambda path: save_class_bases(path, np.ones((1, 2, 32, 32), np.float32)),
    'converted checkpoint': lambda path: Conversion(
        state_dict={'weight': torch.ones(4096)}).save(path),
    'MATLAB file': lambda path: write_mat(path, {'x': np.ones((64, 64))}),
    'label map': lambda path: save_label_png(path, _NOISE[..., 0]),
    'curves as a table': lambda path: write_trimap_csv(path, _CURVES),
    'curves as a picture': lambda path: plot_trimap_curves(path, _CURVES, 'title'),
    'picture': lambda path: save_png(path, _NOISE),
}


@pytest.mark.parametrize('room', [0, 1000])
@pytest.mark.parametrize('what', WRITERS)
def test_full_disk(tmp_path: Path, what: str, room: int) -> None:
    path = tmp_path / 'file'
    WRITERS[what](path)
    assert path.stat().st_size > 1000
    path.write_bytes(b'old')
    with full_disk(room):
        with pytest.raises(OSError):
            WRITERS[what](path)
    assert path.read_bytes() == b'old'
    assert [other.name for other in tmp_path.iterdir()] == ['file']


@pytest.mark.parametrize('what', WRITERS)
def test_first_file_on_a_full_disk(tmp_path: Path, what: str) -> None:
    with full_disk(500), pytest.raises(OSError):
        WRITERS[what](tmp_path / 'new' / 'file' if what != 'MATLAB file' else tmp_path / 'file')
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []
