# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/report.py``, ``tools/tune_crf.py`` and ``tools/visualize.py`` as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from visualize import short_names

from mmseg_lrr.reporting.examples import ExampleMaker
from mmseg_lrr.visualization.panels import Example
from mmseg_lrr.visualization.plots import write_trimap_csv

from ..test_apis.small_project import make_project

NETWORK = ('config.py', 'weights.pth')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


@pytest.fixture(autouse=True)
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, in which the tools run."""
    monkeypatch.chdir(folder)
    return folder


def test_report_is_written_and_printed(tmp_path: Path, call: Callable) -> None:
    options = ('--out', tmp_path, '--widths', '2', '4', '--crf', 'deeplab_v1', '--absent', 'zero',
               '--limit', '1', '--images', '1', '--cfg-options', 'tta_model.fusion=mean')
    printed = call('report.py', *NETWORK, *options)
    assert (tmp_path / 'report.md').read_text() in printed
    assert '| output | mIoU | aAcc | mAcc | trimap mIoU, 2 px | trimap mIoU, 4 px |' in printed
    assert 'DenseCRF(preset=deeplab_v1)' in printed
    assert 'count as 0' in printed and 'limited to the first 1' in printed
    assert (tmp_path / 'report.html').is_file()
    again = call('report.py', ':'.join(NETWORK), *options)
    assert again.count('kept from an earlier run') == 3


def test_crf_is_tuned(tmp_path: Path, call: Callable) -> None:
    printed = call(
        'tune_crf.py', *NETWORK, '--images', '1', '--grid', 'iterations=1,2', 'pos_std=1.5',
        '--preset', 'deeplab_v1', '--aug-test', '--device', 'cpu', '--out', tmp_path / 'a.json')
    trials = json.loads((tmp_path / 'a.json').read_text())['trials']
    # None, the four presets, and two of the grid.
    assert len(trials) == 7 == len(printed.splitlines()[-8:]) - 1
    assert {trial['settings']['iterations'] for trial in trials
            if trial['settings'] and trial['settings']['pos_std'] == 1.5} == {1, 2}
    assert 'no CRF' in printed and '(kraehenbuehl)' in printed
    assert printed.splitlines()[-7].startswith(f'{trials[0]["miou"]:6.2f} ')


def width(path: Path) -> int:
    return Image.open(path).size[0]


def test_levels_as_a_file_for_each_image_or_one_sheet(tmp_path: Path, call: Callable) -> None:
    options = ('--cell-width', '60', '--device', 'cpu', '--out')
    printed = call('visualize.py', 'levels', *NETWORK, '--count', '2', *options, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['0.png', '2.png']
    assert f'wrote {tmp_path / "2.png"}' in printed
    # image, ground truth, four levels, ms, ms-crf
    assert width(tmp_path / '0.png') == 8 * 68
    call('visualize.py', 'levels', *NETWORK, 'data/images/1.png', 'data/images/2.png',
         '--single-scale', *options, tmp_path / 'sheet.png', '--cfg-options',
         'model.test_cfg.last_level=16x')
    # image, two levels, no ground truth
    assert width(tmp_path / 'sheet.png') == 3 * 68


def test_masks_and_errors_of_images_with_and_without_labels(
        project: Path, tmp_path: Path, call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Example] = []
    make = ExampleMaker.make
    monkeypatch.setattr(
        ExampleMaker, 'make', lambda self, info: made.append(make(self, info)) or made[-1])
    call('visualize.py', 'masks', *NETWORK, 'data/images', '--classes', 'b', 'c', '--out', tmp_path,
         '--device', 'cpu')
    assert {path.name for path in tmp_path.iterdir()} == {'0.png', '1.png', '2.png'}
    assert {len(mask) for item in made for mask in item.masks.values()} == {2}
    assert all(item.labels is None for item in made)
    # The data set names label maps by its suffixes; they may lie in folders.
    (tmp_path / 'labels' / 'city').mkdir(parents=True)
    (tmp_path / 'x_left.png').symlink_to(project / 'data' / 'images' / '0.png')
    (tmp_path / 'labels' / 'city' / 'x_ids.png').symlink_to(project / 'data' / 'labels' / '0.png')
    call('visualize.py', 'errors', *NETWORK, tmp_path / 'x_left.png', '--labels',
         tmp_path / 'labels', '--width', '3', '--crf', 'deeplab_v1', '--out',
         tmp_path / 'errors.png', '--device', 'cpu', '--cfg-options',
         'test_dataloader.dataset.img_suffix=_left.png',
         'test_dataloader.dataset.seg_map_suffix=_ids.png')
    assert width(tmp_path / 'errors.png') == 8 * 248
    np.testing.assert_array_equal(made[-1].labels, Image.open('data/labels/0.png'))
    with pytest.raises(FileNotFoundError, match='no label map 1.png'):
        call('visualize.py', 'errors', *NETWORK, 'data/images/1.png', '--labels',
             tmp_path / 'labels')


def test_names_that_are_alike_get_their_folders() -> None:
    for paths, names in ((['a/x.jpg', 'y.png'], ['x', 'y']),
                         (['a/x.jpg', 'b/x.jpg', 'b/y.jpg'], ['a_x', 'b_x', 'y']),
                         (['/c/a/x.jpg', '/d/a/x.jpg'], ['c_a_x', 'd_a_x']),
                         (['x.jpg', 'a/x.jpg'], ['x', 'a_x'])):
        assert short_names(paths) == names


def test_bases_of_a_checkpoint_and_of_a_file(
        tmp_path: Path, call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple] = []
    monkeypatch.setattr('mmseg_lrr.visualization.plots.plot_bases',
                        lambda *arguments: drawn.append(arguments))
    state = torch.load('weights.pth', weights_only=False)['state_dict']
    bases = {level: state[f'decode_head.levels.{level}.reconstruction.bases'].numpy()
             for level in ('32x', '4x')}
    made = np.random.default_rng(0).random((3, 4, 32, 32))
    np.save(tmp_path / 'bases.npy', made)
    for arguments, expected, classes in (
            (['weights.pth'], bases['32x'], ['a', 'b', 'c']),
            (['weights.pth', '--level', '4x'], bases['4x'], ['a', 'b', 'c']),
            (['--file', tmp_path / 'bases.npy', '--classes', 'c', 'a'], made[[2, 0]], ['c', 'a'])):
        call('visualize.py', 'bases', 'config.py', *arguments, '--out', tmp_path / 'a.png')
        path, values, names, _ = drawn[-1]
        assert path == str(tmp_path / 'a.png') and names == classes
        np.testing.assert_array_equal(values, expected)


def test_checkpoint_of_another_network_is_not_drawn(tmp_path: Path, call: Callable) -> None:
    torch.save(dict(model=torch.load('weights.pth')['state_dict']), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth is not one of the network in the config'):
        call('visualize.py', 'levels', 'config.py', tmp_path / 'a.pth', '--device', 'cpu')
    with pytest.raises(SystemExit, match=r'a\.pth has no basis functions'):
        call('visualize.py', 'bases', 'config.py', tmp_path / 'a.pth')


@pytest.mark.parametrize('tool, more', [
    (['report.py'], []), (['tune_crf.py'], []), (['visualize.py', 'masks'], []),
    (['visualize.py', 'bases'], []), (['deployment/export_onnx.py'], ['a.onnx'])])
def test_missing_checkpoint_and_data_are_one_line(
        call: Callable, tool: list[str], more: list[str]) -> None:
    with pytest.raises(SystemExit, match='^error: the checkpoint none.pth is missing$'):
        call(*tool, 'config.py', 'none.pth', *more)
    if tool[-1] in ('report.py', 'tune_crf.py', 'masks'):
        with pytest.raises(SystemExit, match=r'^error: .*images/\*\.png is missing; set data_root'):
            call(*tool, *NETWORK, '--cfg-options', 'test_dataloader.dataset.data_root=elsewhere')


def test_trimap_curves_of_several_runs(tmp_path: Path, call: Callable) -> None:
    for name in ('one', 'two'):
        write_trimap_csv(tmp_path / f'trimap_{name}.csv', {
            measure: {level: {1: 20., 3: 30.} for level in ('32x', '4x', 'ms', 'ms-crf')}
            for measure in ('mIoU', 'boundary_mF')})
    call('visualize.py', 'trimap', *sorted(tmp_path.glob('*.csv')), '--names', 'A', 'B', '--levels',
         '4x', '--measure', 'boundary_mF', '--out', tmp_path / 'trimap.png')
    assert (tmp_path / 'trimap.png').is_file()


@pytest.mark.parametrize('arguments, message', [
    (['report.py', 'config.py'], 'expected CONFIG CHECKPOINT, or any number of CONFIG:CHECKPOINT'),
    (['report.py', 'a.py:b', 'c.py'], 'expected CONFIG CHECKPOINT'),
    (['visualize.py', 'trimap', 'a.csv', 'b.csv', '--names', 'x'], 'must be 2 different names')])
def test_bad_arguments_end_with_a_message(
        call: Callable, capsys: pytest.CaptureFixture, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
