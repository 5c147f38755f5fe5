# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A training that was interrupted goes on as if it had not been."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_project import checkpoint, make_project, run, start, tool, train

from mmseg_lrr.engine.hooks.lrr_checkpoint_hook import get_random_states, set_random_states

PARTS = ('state_dict', 'optimizer', 'param_schedulers', 'random_states')


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
    work_dir = project / f'resumed_{iteration}'
    work_dir.mkdir()
    for name in (f'iter_{iteration}.pth', 'class_bases.npy', 'class_bases.json'):
        shutil.copy(project / 'whole' / name, work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / f'iter_{iteration}.pth'))
    train(monkeypatch, project, work_dir.name, '--resume')
    one, other = (checkpoint(folder / 'iter_4.pth') for folder in (project / 'whole', work_dir))
    for part in PARTS:
        assert_same(one[part], other[part])
    first = checkpoint(project / 'whole' / 'iter_1.pth')['state_dict']
    assert any(not torch.equal(value, first[key]) for key, value in other['state_dict'].items())


def test_random_states_are_put_back() -> None:
    states = get_random_states()
    drawn = (random.random(), np.random.standard_normal(), torch.rand(3))
    random.random(), np.random.rand(5), torch.rand(5)
    set_random_states(states)
    assert_same(drawn, (random.random(), np.random.standard_normal(), torch.rand(3)))


@pytest.mark.slow
@pytest.mark.parametrize('seconds', [0., .3, .7])
def test_a_killed_training_goes_on(tmp_path: Path, seconds: float) -> None:
    """Killed some time after its first checkpoint, and started again."""
    folder = make_project(tmp_path, iterations=8, keep=-1)
    run(folder, tool('train.py', 'config.py', '--work-dir', 'whole'))
    command = tool('train.py', 'config.py', '--work-dir', 'killed', '--resume')
    process = start(folder, command)
    while not (folder / 'killed' / 'last_checkpoint').exists():
        assert process.poll() is None, (folder / 'output.txt').read_text()
        time.sleep(.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for path in (folder / 'killed').glob('*.pth'):
        checkpoint(path)
    assert (folder / (folder / 'killed' / 'last_checkpoint').read_text()).is_file()
    run(folder, command)
    one, other = (checkpoint(folder / name / 'iter_8.pth') for name in ('whole', 'killed'))
    for part in PARTS:
        assert_same(one[part], other[part])
