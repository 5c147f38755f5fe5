# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The command lines that prepare data sets."""

import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_lrr.datasets.preparation.cityscapes import CityscapesLabels


@pytest.fixture
def call(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run one of the scripts; gives its exit status."""
    folder = repo_root / 'tools' / 'dataset_converters'
    monkeypatch.syspath_prepend(folder)

    def run(tool: str, *arguments: object) -> int:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(folder / tool), run_name='__main__')
        return stop.value.code

    return run


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """One frame of Cityscapes."""
    labels = tmp_path / 'gtFine' / 'val' / 'b'
    images = tmp_path / 'leftImg8bit' / 'val' / 'b'
    for folder in (labels, images):
        folder.mkdir(parents=True)
    Image.fromarray(np.full((4, 8), 7, np.uint8)).save(labels / 'b_1_2_gtFine_labelIds.png')
    Image.fromarray(np.zeros((4, 8, 3), np.uint8)).save(images / 'b_1_2_leftImg8bit.png')
    return tmp_path


def test_exit_status_and_report(call: Callable, frame: Path, capsys: pytest.CaptureFixture) -> None:
    target = frame / 'gtFine/val/b/b_1_2_gtFine_labelTrainIds.png'
    assert call('cityscapes.py', frame, '--partial', '--dry-run', '--workers', 1) == 1
    assert 'gtFine/train: the folder' in capsys.readouterr().out
    assert call('cityscapes.py', frame, '--partial', '--dry-run', '--parts', 'gtFine/val') == 0
    assert 'dry run: nothing written' in capsys.readouterr().out and not target.exists()
    assert call('cityscapes.py', frame, '--workers', 1, '--parts', 'gtFine/val') == 1
    printed = capsys.readouterr().out
    assert 'gtFine/val: 1, but the published data set has 500' in printed
    assert 'problems: 1' in printed
    assert call('cityscapes.py', frame, '--partial', '--parts', 'gtFine/val') == 0
    assert '0 written, 0 replaced, 1 kept, 0 left out, 0 broken' in capsys.readouterr().out
    assert call('cityscapes.py', frame / 'gone') == 2
    assert 'gone' in capsys.readouterr().err


def disturb(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send a signal to the process that makes a label map, while it does."""
    original = CityscapesLabels.labels

    def labels(self: CityscapesLabels) -> np.ndarray:
        os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(CityscapesLabels, 'labels', labels)


@pytest.fixture
def frames(frame: Path) -> list[str | Path]:
    """Arguments for two frames: a single one is converted without workers."""
    for path in [*frame.rglob('*.png')]:
        path.with_name(path.name.replace('b_1_2', 'b_1_3')).write_bytes(path.read_bytes())
    return [frame, '--partial', '--parts', 'gtFine/val', '--workers']


def test_a_killed_worker(call: Callable, frames: list, monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture) -> None:
    disturb(monkeypatch, signal.SIGKILL)
    assert call('cityscapes.py', *frames, 2) == 2
    (line, ) = capsys.readouterr().err.splitlines()
    assert 'a worker died' in line and 'fewer --workers' in line


@pytest.fixture
def _heeds_ctrl_c() -> Iterator[None]:
    """A shell starts what runs in its background with Ctrl-C ignored, and so these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('_heeds_ctrl_c')
def test_ctrl_c(call: Callable, frames: list, monkeypatch: pytest.MonkeyPatch,
                capsys: pytest.CaptureFixture) -> None:
    """It goes to all processes: workers finish what they are writing, the main one stops."""
    disturb(monkeypatch, signal.SIGINT)
    assert call('cityscapes.py', *frames, 1) == 130
    (line, ) = capsys.readouterr().err.splitlines()
    assert 'interrupted' in line
    assert not list(frames[0].rglob('*labelTrainIds*'))
    assert call('cityscapes.py', *frames, 2) == 0
    assert len(list(frames[0].rglob('*labelTrainIds.png'))) == 2


@pytest.mark.parametrize('tool, arguments', [
    ('voc_sbd.py', ['VOC2012', 'benchmark_RELEASE']),
    ('coco_to_voc.py', ['coco', '--splits', 'val2017']),
])
def test_what_is_not_there_is_named(call: Callable, tmp_path: Path, tool: str, arguments: list,
                                    capsys: pytest.CaptureFixture) -> None:
    if tool == 'coco_to_voc.py':
        pytest.importorskip('pycocotools', reason='pycocotools (extra "coco") is not installed')
    assert call(tool, tmp_path / arguments[0], *arguments[1:]) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize('tool', ['voc_sbd.py', 'coco_to_voc.py', 'cityscapes.py'])
def test_help(call: Callable, tool: str, capsys: pytest.CaptureFixture) -> None:
    assert call(tool, '--help') == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ('--dry-run', '--workers', '--partial'))
    assert call(tool, 'a', 'b', '--workers', 0) == 2
