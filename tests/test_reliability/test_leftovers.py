# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Temporary files of processes that were killed while they wrote."""

import os
import signal
import time
from pathlib import Path

import pytest

from mmseg_lrr.replacing import remove_leftovers, replacing


@pytest.fixture
def gone() -> int:
    """The number of a process that is no more."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def make(path: Path, age: float = 7200) -> Path:
    path.write_bytes(b'half')
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_a_killed_writers_file_goes(tmp_path: Path) -> None:
    path = tmp_path / 'x.png'
    child = os.fork()
    if child == 0:
        with replacing(path) as temporary:
            temporary.write_bytes(b'half')
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left, ) = tmp_path.iterdir()
    make(left)
    with replacing(path) as temporary:
        temporary.write_bytes(b'whole')
    assert [(other.name, other.read_bytes()) for other in tmp_path.iterdir()] == [
        ('x.png', b'whole')]


def test_other_files_stay(tmp_path: Path, gone: int) -> None:
    """Those of living processes, young ones, and whatever has another kind of name."""
    (tmp_path / f'.folder.{gone}.part').mkdir()
    (tmp_path / f'.link.{gone}.part').symlink_to(tmp_path)
    kept = [make(tmp_path / name) for name in (
        f'.x.png.{os.getppid()}.part', '.x.png.1.part', f'x.png.{gone}.part', f'.x.png.{gone}',
        '.x.png.part', f'.x.png.{gone}.part.gz', f'.x.png.a{gone}.part', f'.{gone}.part',
        '.x.png.99999999999.part')]
    kept.append(make(tmp_path / f'.x.png.{gone}.part', age=60))
    kept += [tmp_path / f'.folder.{gone}.part', tmp_path / f'.link.{gone}.part']
    old = make(tmp_path / f'.y.png.{gone}.part')
    with replacing(tmp_path / 'z.png') as temporary:
        temporary.write_bytes(b'')
    assert not old.exists()
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / 'z.png'])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    remove_leftovers(str(tmp_path / 'none'))
