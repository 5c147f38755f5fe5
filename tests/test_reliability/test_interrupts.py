# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A run that was interrupted goes on as if it had not been."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS
from tiny_project import (
    REPO_ROOT,
    checkpoint,
    environment,
    full_disk,
    make_project,
    train,
)

from mmseg_lrr.apis import toolbox
from mmseg_lrr.engine.hooks.lrr_checkpoint_hook import (
    WholeFilesBackend,
    get_random_states,
    set_random_states,
)


def assert_same(one: object, other: object) -> None:
    """Nested dicts and lists, tensors bit by bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for parts in zip(one, other, strict=True):
            assert_same(*parts)
    else:
        assert one == other


def begin_from(path: Path, work_dir: Path) -> None:
    """Make a work folder as a run that was killed after this checkpoint leaves it."""
    work_dir.mkdir()
    for name in (path.name, 'class_bases.npy', 'class_bases.json'):
        shutil.copy(path.parent / name, work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / path.name))


def test_random_states_are_put_back() -> None:
    states = get_random_states()
    drawn = (random.random(), np.random.standard_normal(), torch.rand(3))
    random.random(), np.random.rand(5), torch.rand(5)
    set_random_states(states)
    assert_same(drawn, (random.random(), np.random.standard_normal(), torch.rand(3)))


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of four iterations, with random crops and flips and validations between."""
    folder = make_project(
        tmp_path_factory.mktemp('project'), images=5, iterations=4, val_interval=2, keep=-1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        train(monkeypatch, folder, 'whole')
    return folder


@pytest.mark.parametrize('iteration', [1, 2])
def test_a_resumed_run_ends_bit_equal(
        project: Path, monkeypatch: pytest.MonkeyPatch, iteration: int) -> None:
    """Also where a validation lay between the checkpoint and the end."""
    name = f'resumed_{iteration}'
    begin_from(project / 'whole' / f'iter_{iteration}.pth', project / name)
    train(monkeypatch, project, name, '--resume')
    one, other = (checkpoint(project / folder / 'iter_4.pth') for folder in ('whole', name))
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'random_states'):
        assert_same(one[part], other[part])
    first = checkpoint(project / 'whole' / 'iter_1.pth')['state_dict']
    assert any(not torch.equal(value, first[key]) for key, value in other['state_dict'].items())


def test_only_the_last_checkpoints_stay_and_leftovers_go(
        project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_dir = project / 'kept'
    begin_from(project / 'whole' / 'iter_1.pth', work_dir)
    left = work_dir / '.iter_2.pth.123.part'
    left.write_bytes(b'half')
    train(monkeypatch, project, 'kept', '--resume', '--cfg-options',
          'default_hooks.checkpoint.max_keep_ckpts=1', 'default_hooks.checkpoint.save_best=mIoU')
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_4.pth')
    files = sorted(path.name for path in work_dir.iterdir() if '.pth' in path.name)
    # The first was another run's, of the same name.
    assert files[-2:] == ['iter_1.pth', 'iter_4.pth']
    assert len(files) == 3 and files[0].startswith('best_mIoU_iter_')
    assert not left.exists()


@pytest.mark.parametrize('limit', [0, 100_000])
def test_a_full_disk_stops_the_run_and_keeps_the_checkpoint(
        project: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """The oldest checkpoint goes when the next is there, not before."""
    work_dir = project / f'full_{limit}'
    begin_from(project / 'whole' / 'iter_2.pth', work_dir)
    before = (work_dir / 'iter_2.pth').read_bytes()

    def put(self: WholeFilesBackend, obj: bytes, filepath: str) -> None:
        with full_disk(limit):
            original(self, obj, filepath)

    original = WholeFilesBackend.put
    monkeypatch.setattr(WholeFilesBackend, 'put', put)
    with pytest.raises(OSError, match='File too large'):
        train(monkeypatch, project, work_dir.name, '--resume', '--cfg-options',
              'default_hooks.checkpoint.max_keep_ckpts=1')
    assert (work_dir / 'iter_2.pth').read_bytes() == before
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_2.pth')
    assert not list(work_dir.glob('*iter_3*')) and not list(work_dir.glob('.*.part'))


def test_other_numbers_of_processes_go_on_with_a_warning(
        project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_dir = project / 'other'
    begin_from(project / 'whole' / 'iter_4.pth', work_dir)
    content = checkpoint(work_dir / 'iter_4.pth')
    content['random_states'] *= 2
    torch.save(content, work_dir / 'iter_4.pth')
    messages = []
    monkeypatch.setattr('mmengine.logging.MMLogger.warning',
                        lambda self, text, *args: messages.append(text))
    train(monkeypatch, project, 'other', '--resume', '--cfg-options', 'train_cfg.max_iters=5')
    assert any('random states of 2 processes, but this run has 1' in text for text in messages)
    assert (work_dir / 'iter_5.pth').is_file()


@pytest.mark.parametrize('there', [False, True])
def test_resume_of_a_second_stage_goes_on_from_its_own_folder(tmp_path: Path, there: bool) -> None:
    """The toolbox would take the first stage's last checkpoint (``load_from``) for its own."""
    config = tmp_path / 'stage2.py'
    config.write_text(f"load_from = 'stage1.pth'\nwork_dir = {str(tmp_path)!r}\n")
    if there:
        (tmp_path / 'last_checkpoint').write_text('x')

    def resumed(argv: list[str]) -> list[str]:
        return toolbox._resume(argv, toolbox._configured(argv))

    argv = [str(config), '--amp', '--resume']
    expected = ([*argv, '--cfg-options', 'load_from=None'] if there else argv[:2])
    assert resumed(argv) == expected
    # Who names a checkpoint means it, and an empty folder has none.
    named = [*argv, '--cfg-options', 'load_from=mine.pth']
    assert resumed(named) == named
    elsewhere = ['--work-dir', str(tmp_path / 'empty')]
    assert resumed([*argv, *elsewhere]) == [*argv[:2], *elsewhere]
    assert resumed(argv[:2]) == argv[:2]


def test_resume_knows_a_work_folder_that_cfg_options_name(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config, mine = tmp_path / 'stage2.py', tmp_path / 'mine'

    def resumed(argv: list[str]) -> list[str]:
        return toolbox._resume(argv, toolbox._configured(argv))

    options = [f'work_dir={mine}', 'other.load_from=x']
    argv = [str(config), '--resume', '--cfg-options', *options]
    config.write_text("work_dir = 'another'\n")
    assert resumed(argv) == argv
    config.write_text("work_dir = 'another'\nload_from = 'stage1.pth'\n")
    assert resumed(argv) == [argv[0], *argv[2:]]
    warning = capsys.readouterr().err
    assert f'no {mine}/last_checkpoint' in warning
    assert 'stage1.pth' in warning
    mine.mkdir()
    (mine / 'last_checkpoint').write_text('x')
    assert resumed(argv) == [*argv[:2], '--cfg-options', 'load_from=None', *argv[2:]]
    assert capsys.readouterr().err == ''
    # A command line that the toolbox refuses is left to it.
    assert resumed([*argv, '--work-dir']) == [*argv, '--work-dir']


def test_the_hook_is_the_toolboxs_with_its_options() -> None:
    hook = HOOKS.build(dict(type='mmseg.LRRCheckpointHook', interval=3, by_epoch=False))
    assert (hook.interval, hook.filename_tmpl) == (3, 'iter_{}.pth')


@pytest.mark.slow
def test_commands_killed_at_random_moments(tmp_path: Path) -> None:
    """A short run of the script that docs/reliability.md has its figures from."""
    done = subprocess.run(
        [sys.executable, str(REPO_ROOT / 'tools' / 'reliability' / 'interrupts.py'),
         '--kills', '2', '--folder', str(tmp_path / 'runs')],
        env=environment(), capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('| 2 | 2 |') == 5, done.stdout


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    """Killed when all bytes are written and the file has still its temporary name."""
    path = tmp_path / 'x.pth'
    path.write_bytes(b'old')

    child = os.fork()
    if child == 0:
        os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
        WholeFilesBackend().put(b'new' * 1000, path)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert path.read_bytes() == b'old'
    assert [other.stat().st_size for other in tmp_path.glob('.x.pth.*.part')] == [3000]
