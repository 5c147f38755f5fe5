# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Temporary files and folders of processes that were killed while they wrote."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from mmseg_lrr.datasets import make_shapes_dataset
from mmseg_lrr.replacing import remove_leftovers, replacing, replacing_folder


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


def test_a_killed_makers_folder_goes(tmp_path: Path, gone: int) -> None:
    """Not while anything in it is young: the folder's own time says nothing of that."""
    then = time.time() - 7200
    for name, age in (('old', 7200), ('young', 60)):
        folder = tmp_path / f'.{name}.{gone}.part'
        (folder / 'images').mkdir(parents=True)
        make(folder / 'images' / 'a.png', age)
        for path in (folder / 'images', folder):
            os.utime(path, (then, then))
    remove_leftovers(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [f'.young.{gone}.part']


@pytest.mark.parametrize('name', ['x' * 251 + '.png', 'ü' * 125 + '.png', '語' * 83 + '.png'])
def test_the_longest_names_are_written(tmp_path: Path, name: str, gone: int) -> None:
    """The temporary name is shorter, one of its own, and goes as others do."""
    assert len(name.encode()) >= 253
    path = tmp_path / name
    with replacing(path) as temporary, replacing(tmp_path / f'y{name[1:]}') as other:
        assert temporary != other
        for file in (temporary, other):
            file.write_bytes(b'whole')
    assert path.read_bytes() == b'whole'
    left = make(tmp_path / temporary.name.replace(str(os.getpid()), str(gone)))
    remove_leftovers.cache_clear()
    remove_leftovers(str(tmp_path))
    assert not left.exists()
    for content in ('old', 'new'):
        with replacing_folder(tmp_path / 'made' / name) as folder:
            (folder / 'a').write_text(content)
    assert [file.read_text() for file in (tmp_path / 'made').rglob('a')] == ['new']


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / 'real').mkdir()
    for name in ('old', 'new'):
        (tmp_path / name).symlink_to(f'real/{name}')
    (tmp_path / 'real' / 'old').write_text('old')
    for name in ('old', 'new'):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text('whole')
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / 'real' / name).read_text() == 'whole'


@pytest.mark.parametrize('kind', ['folder', 'pipe', 'link'])
def test_no_file_comes_in_the_place_of_something_else(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    {'folder': os.mkdir, 'pipe': os.mkfifo,
     'link': lambda link: os.symlink('/dev/null', link)}[kind](path)
    with pytest.raises(FileExistsError, match='regular'), replacing(path):
        pytest.fail('the block must not be entered')
    assert [other.name for other in tmp_path.iterdir()] == [kind]
    assert not path.is_file()


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / 'data'
    path.mkdir()
    (path / 'a').write_text('old')
    with pytest.raises(KeyboardInterrupt), replacing_folder(path) as temporary:
        (temporary / 'a').write_text('half')
        raise KeyboardInterrupt
    assert [other.name for other in tmp_path.iterdir()] == ['data']
    assert (path / 'a').read_text() == 'old'


def test_a_folder_killed_while_the_old_one_is_removed(tmp_path: Path) -> None:
    """The new one is whole, and what is left of the old one is not taken for a data set."""
    settings = dict(num_train=4, num_val=2, size_range=(64, 64))
    root = make_shapes_dataset(tmp_path / 'data', **settings, seed=0)
    files = {path.relative_to(root) for path in root.rglob('*')}
    child = os.fork()
    if child == 0:
        unlink, calls = os.unlink, iter(range(1000))

        def killed_at_the_third(*args: object, **kwargs: object) -> None:
            if next(calls) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            unlink(*args, **kwargs)

        os.unlink = killed_at_the_third
        make_shapes_dataset(root, **settings, seed=1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left, ) = tmp_path.glob('.data.old.*.part')
    for seed in (1, 0):
        make_shapes_dataset(root, **settings, seed=seed)
        assert {path.relative_to(root) for path in root.rglob('*')} == files
        assert json.loads((root / 'shapes.json').read_text())['seed'] == seed
    then = time.time() - 7200
    for path in (*left.rglob('*'), left):
        os.utime(path, (then, then))
    remove_leftovers.cache_clear()
    make_shapes_dataset(root, **settings, seed=1)
    assert list(tmp_path.iterdir()) == [root]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    remove_leftovers(str(tmp_path / 'none'))
