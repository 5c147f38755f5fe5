# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Names of pictures; basis functions from checkpoints and files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_lrr.apis.pictures import picture_names, read_bases

from .small_project import make_project


@pytest.mark.parametrize('paths, names', [
    (['a/x.jpg', 'y.png'], ['x', 'y']),
    (['a/x.jpg', 'b/x.jpg', 'b/y.jpg'], ['a_x', 'b_x', 'y']),
    (['/c/a/x.jpg', '/d/a/x.jpg'], ['c_a_x', 'd_a_x']),
    (['x.jpg', 'a/x.jpg'], None),
    (['a/x.jpg', 'a/x.jpg'], None),
])
def test_alike_names_get_their_folders(paths: list[str], names: list[str] | None) -> None:
    if names is not None:
        assert picture_names(paths) == names
        return
    with pytest.raises(ValueError, match='x.jpg is named twice'):
        picture_names(paths)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'), num_images=1)


def test_bases_of_a_checkpoint_and_of_a_file(project: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    state = torch.load(project / 'weights.pth', weights_only=False)['state_dict']
    for level, used in ((None, '32x'), ('4x', '4x')):
        bases, classes, title = read_bases(cfg, checkpoint=project / 'weights.pth', level=level)
        np.testing.assert_array_equal(
            bases, state[f'decode_head.reconstructions.{used}.bases'].numpy())
        assert classes == ['a', 'b', 'c']
        assert title == f'Cosine basis functions of level {used}, weights.pth'
    made = np.random.default_rng(0).random((3, 4, 32, 32))
    np.save(tmp_path / 'bases.npy', made)
    bases, classes, title = read_bases(cfg, file=tmp_path / 'bases.npy', only=['c', 'a'])
    np.testing.assert_array_equal(bases, made[[2, 0]])
    assert classes == ['c', 'a'] and title == 'Basis functions in bases.npy'


def test_wrong_levels_classes_and_files_are_refused(project: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    with pytest.raises(ValueError, match="level must be one of '32x', '16x', '8x', '4x', got '2x'"):
        read_bases(cfg, checkpoint=project / 'weights.pth', level='2x')
    np.save(tmp_path / 'bases.npy', np.zeros((2, 4, 32, 32)))
    with pytest.raises(ValueError, match=r'num_classes = 3 of the config, got shape \(2, 4, 32'):
        read_bases(cfg, file=tmp_path / 'bases.npy')
    np.save(tmp_path / 'bases.npy', np.zeros((3, 4, 32, 32)))
    (tmp_path / 'empty.npy').touch()
    (tmp_path / 'text.npy').write_text('bases')
    np.savez(tmp_path / 'archive.npz', np.zeros((3, 4, 32, 32)))
    for name in ('empty.npy', 'text.npy', 'archive.npz'):
        with pytest.raises(ValueError, match=rf'{name} must be an array in a \.npy file: '):
            read_bases(cfg, file=tmp_path / name)
    with pytest.raises(ValueError, match="class must be one of 'a', 'b', 'c', got 'x'"):
        read_bases(cfg, file=tmp_path / 'bases.npy', only=['x'])
