# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/visualize.py`` as a user calls it; the pictures are tested where they are drawn."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_lrr.evaluation.trimap_curve import write_trimap_csv

from ..test_apis.small_project import make_project


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


@pytest.fixture
def call(repo_root: Path, monkeypatch: pytest.MonkeyPatch,
         capsys: pytest.CaptureFixture) -> Callable:
    """Run the tool in this process; give its exit status and what it printed."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['visualize.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(repo_root / 'tools' / 'visualize.py'), run_name='__main__')
        printed = capsys.readouterr()
        return stop.value.code, printed.out + printed.err

    return run


def size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture."""
    return cv2.imread(str(path)).shape[:2]


def test_levels_one_strip_an_image_or_all_in_one(project: Path, tmp_path: Path,
                                                 call: Callable) -> None:
    network = project / 'config.py', project / 'weights.pth'
    code, printed = call('levels', *network, '--count', '2', '--out', tmp_path, '--cell-width',
                         '60', '--device', 'cpu')
    assert code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['0.png', '2.png']
    assert f'wrote {tmp_path / "2.png"}' in printed
    # image, ground truth, four levels, ms, ms+crf
    assert size(tmp_path / '0.png')[1] == 2 * 12 + 8 * 60 + 7 * 8
    images = project / 'data' / 'images'
    code, _ = call('levels', *network, images / '1.png', images / '2.png', '--single-scale',
                   '--out', tmp_path / 'sheet.png', '--cell-width', '60', '--device', 'cpu',
                   '--cfg-options', 'model.test_cfg.last_level=16x')
    assert code == 0
    # image, two levels, no ground truth
    assert size(tmp_path / 'sheet.png')[1] == 2 * 12 + 3 * 60 + 2 * 8


def test_masks_and_errors(project: Path, tmp_path: Path, call: Callable) -> None:
    network = project / 'config.py', project / 'weights.pth'
    images = project / 'data' / 'images'
    for number, classes in enumerate(([], ['--classes', 'b', 'c'])):
        code, _ = call('masks', *network, images, *classes, '--out', tmp_path / f'{number}',
                       '--cell-width', '60', '--device', 'cpu')
        assert code == 0
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')}
    assert found == {f'{folder}/{image}.png' for folder in (0, 1) for image in (0, 1, 2)}
    # One more row of masks.
    assert size(tmp_path / '1' / '0.png')[0] > size(tmp_path / '0' / '0.png')[0] + 40
    code, _ = call('errors', *network, images / '0.png', '--labels', project / 'data' / 'labels',
                   '--width', '3', '--crf', 'deeplab_v1', '--out', tmp_path / 'errors.png',
                   '--cell-width', '60', '--device', 'cpu')
    assert code == 0
    assert size(tmp_path / 'errors.png')[1] == 2 * 12 + 8 * 60 + 7 * 8


def test_bases_of_a_checkpoint_and_of_a_file(project: Path, tmp_path: Path, call: Callable
                                             ) -> None:
    config = project / 'config.py'
    code, _ = call('bases', config, project / 'weights.pth', '--level', '8x', '--out',
                   tmp_path / 'a.png')
    assert code == 0
    np.save(tmp_path / 'bases.npy', np.random.default_rng(0).random((3, 10, 32, 32)))
    code, _ = call('bases', config, '--file', tmp_path / 'bases.npy', '--classes', 'a', 'b',
                   '--out', tmp_path / 'b.png')
    assert code == 0
    # A row less, of the same width.
    assert size(tmp_path / 'a.png')[0] > size(tmp_path / 'b.png')[0]
    assert size(tmp_path / 'a.png')[1] == size(tmp_path / 'b.png')[1]


def test_trimap_curves_of_several_runs(tmp_path: Path, call: Callable) -> None:
    for name in ('one', 'two'):
        write_trimap_csv(tmp_path / f'trimap_{name}.csv', {
            level: {1: 20., 3: 30.} for level in ('32x', '4x', 'ms', 'ms-crf')})
    files = sorted(tmp_path.glob('*.csv'))
    for options in ([], ['--names', 'A', 'B', '--levels', '4x']):
        code, printed = call('trimap', *files, *options, '--out', tmp_path / 'trimap.png')
        assert code == 0 and 'wrote' in printed
        assert cv2.imread(str(tmp_path / 'trimap.png')) is not None


@pytest.mark.parametrize('arguments, message', [
    (['levels', 'CONFIG', 'WEIGHTS', 'gone.png'], 'there is no image or folder gone.png'),
    (['levels', 'CONFIG', 'gone.pth'], 'gone.pth'),
    (['levels', 'gone.py', 'WEIGHTS'], 'gone.py'),
    (['levels', 'CONFIG', 'WEIGHTS', '--count', '0'], 'count must be an integer >= 1, got 0'),
    (['masks', 'CONFIG', 'WEIGHTS', '--classes', 'x'], "class must be one of 'a', 'b', 'c'"),
    (['errors', 'CONFIG', 'WEIGHTS', 'IMAGE'], 'errors need ground truth, but 0 has none'),
    (['bases', 'CONFIG', 'WEIGHTS', '--level', '64x'], "level must be one of '32x'"),
    (['levels', 'CONFIG', 'DAMAGED'], 'holds more than weights'),
    (['levels', 'CONFIG', 'WEIGHTS', 'DAMAGED', '--single-scale'],
     'is no image that can be read'),
    (['trimap', 'CONFIG'], 'must have the columns width,level,mIoU'),
])
def test_what_cannot_be_drawn_ends_with_a_message(
    project: Path, tmp_path: Path, call: Callable, arguments: list[str], message: str
) -> None:
    paths = {'CONFIG': project / 'config.py', 'WEIGHTS': project / 'weights.pth',
             'IMAGE': project / 'data' / 'images' / '0.png',
             'DAMAGED': project / 'damaged.jpg'}
    paths['DAMAGED'].write_bytes(b'no image, and no checkpoint')
    code, printed = call(*(paths.get(word, word) for word in arguments), '--out',
                         tmp_path / 'out.png')
    assert code == 1
    assert f'visualize.py {arguments[0]}: ' in printed and message in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, message', [
    ([], 'the following arguments are required: command'),
    (['bases', 'c.py'], 'give either a checkpoint or --file'),
    (['bases', 'c.py', 'a.pth', '--file', 'b.npy'], 'give either a checkpoint or --file'),
    (['bases', 'c.py', '--file', 'b.npy', '--level', '4x'], '--level is of a checkpoint'),
    (['levels', 'c.py', 'a.pth', '--labels', 'x'], '--labels is of images that are named'),
    (['levels', 'c.py', 'a.pth', '--out', 'x.jpg'], '--out must end in .png, got x.jpg'),
    (['bases', 'c.py', 'a.pth', '--out', 'folder'], '--out must end in .png, got folder'),
])
def test_bad_arguments_end_with_a_message(call: Callable, arguments: list[str], message: str
                                          ) -> None:
    code, printed = call(*arguments)
    assert code == 2 and message in printed
