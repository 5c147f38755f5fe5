# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Workers of a conversion whose main process is killed, and what they leave behind."""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_lrr.datasets.preparation import run_jobs as module
from mmseg_lrr.datasets.preparation.label_job import LabelJob
from mmseg_lrr.datasets.preparation.run_jobs import Report, run_jobs


@dataclass(frozen=True)
class Plain(LabelJob):
    """A label map of zeros."""

    allowed = frozenset({0})

    def labels(self) -> np.ndarray:
        return np.zeros((2, 3), np.uint8)


@dataclass(frozen=True)
class Slow(Plain):
    """Says that it has begun; goes on until the main process is gone, or for ever."""

    handle: int
    parent: int
    endless: bool

    def labels(self) -> np.ndarray:
        os.write(self.handle, b'x')
        while self.endless or os.getppid() == self.parent:
            time.sleep(0.01)
        # The one that watches the main process has seen it end as well.
        time.sleep(0.2)
        return super().labels()


@pytest.mark.parametrize('endless', [False, True])
def test_workers_end_with_a_killed_main_process(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless: bool) -> None:
    """At once, but for the label maps in work."""
    monkeypatch.setattr(module, '_GRACE', 0.1 if endless else 30)
    image = tmp_path / 'x.png'
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(image)
    # The workers inherit the pipe: it has an end when all of them have ended.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(read)
        jobs = [Slow(str(i), tmp_path / 'labels' / f'{i}.png', image, write, os.getpid(), endless)
                for i in range(30)]
        run_jobs(jobs, Report(), title='slow', workers=2)
        os._exit(0)
    os.close(write)
    try:
        begun = b''
        while len(begun) < 2 and select.select([read], [], [], 60)[0]:
            begun += os.read(read, 2)
        assert begun == b'xx'
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        while select.select([read], [], [], 30)[0] and (more := os.read(read, 1)):
            begun += more
        assert more == b'', 'the workers live on'
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    assert len(begun) < 30
    written = [path.suffix for path in tmp_path.rglob('labels/*')]
    assert written == ([] if endless else ['.png'] * len(begun))


def test_leftovers_go_though_all_label_maps_are_whole(tmp_path: Path) -> None:
    image, target = tmp_path / 'x.png', tmp_path / 'labels' / 'x.png'
    target.parent.mkdir()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(image)
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(target)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = target.with_name(f'.x.png.{child}.part')
    left.write_bytes(b'half')
    os.utime(left, (0, 0))
    for dry_run in (True, False):
        report = Report(dry_run=dry_run)
        run_jobs([Plain('x', target, image)], report, title='plain', workers=1)
        assert report.counts == {'kept': 1} and left.exists() is dry_run
    assert target.exists()
