# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Two processes train and test as one does; the scripts that start several."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from tiny_project import checkpoint, make_project, run, tool


def metrics(path: Path) -> dict:
    """The last record of a log that has a mIoU, without its times."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {name: value for name, value in [
        record for record in records if 'mIoU' in record][-1].items() if 'time' not in name}


@pytest.mark.slow
def test_two_processes_train_and_validate_as_one(tmp_path: Path) -> None:
    """Seven images: the second process's last batch is one that the first has had."""
    folder = make_project(tmp_path, images=7, iterations=3, keep=-1, augment=False)
    # With other numbers of threads, as they come about on their own.
    run(folder, tool('train.py', 'config.py', '--work-dir', 'one'), OMP_NUM_THREADS='2')
    run(folder, tool('dist_train.sh', 'config.py', '2', '--work-dir', 'two', '--cfg-options',
                     'train_dataloader.batch_size=2'))
    one, two = (checkpoint(folder / name / 'iter_3.pth') for name in ('one', 'two'))
    first = checkpoint(folder / 'one' / 'iter_1.pth')['state_dict']
    assert max((value - first[name]).abs().max() for name, value in one['state_dict'].items()
               if value.is_floating_point()) > 1e-3
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(two['state_dict'][name], value, rtol=0, atol=1e-5)
    # Both processes' random numbers are there to go on with.
    assert (len(one['random_states']), len(two['random_states'])) == (1, 2)
    logs = [metrics(next((folder / name).glob('*/vis_data/scalars.json')))
            for name in ('one', 'two')]
    assert logs[0] == logs[1] and {'trimap_mIoU@4', 'boundary_mIoU'} <= set(logs[0])


@pytest.mark.slow
def test_two_processes_resume_and_test_as_one(tmp_path: Path) -> None:
    """Each process goes on with its own random numbers; a test by both gives the counts of one."""
    folder = make_project(tmp_path, images=7, iterations=4, keep=-1)
    options = ('--cfg-options', 'train_dataloader.batch_size=2')
    run(folder, tool('dist_train.sh', 'config.py', '2', '--work-dir', 'whole', *options))
    (folder / 'resumed').mkdir()
    for name in ('iter_2.pth', 'class_bases.npy', 'class_bases.json'):
        (folder / 'resumed' / name).write_bytes((folder / 'whole' / name).read_bytes())
    (folder / 'resumed' / 'last_checkpoint').write_text('resumed/iter_2.pth')
    run(folder, tool('dist_train.sh', 'config.py', '2', '--work-dir', 'resumed', '--resume',
                     *options))
    whole, resumed = (checkpoint(folder / name / 'iter_4.pth')['state_dict']
                      for name in ('whole', 'resumed'))
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name

    path = str(folder / 'whole' / 'iter_4.pth')
    for name, command in (('one', tool('test.py', 'config.py', path)),
                          ('two', tool('dist_test.sh', 'config.py', path, '2'))):
        run(folder, [*command, '--work-dir', name, '--aug-test', '--crf'])
    results = [metrics(next((folder / name).glob('*/*.json'))) for name in ('one', 'two')]
    assert results[0] == results[1] and 'trimap_mIoU@4' in results[0]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A program that prints its arguments."""
    path = tmp_path / 'srun'
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize('name', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh',
                                  'slurm_test.sh'])
def test_launchers_start_the_tools(tmp_path: Path, stand_in: Path, name: str) -> None:
    done = subprocess.run(tool(name), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith('usage: ')

    launcher, _, script = name.removesuffix('.sh').partition('_')
    files = ['c.py', 'p.pth'] if script == 'test' else ['c.py']
    options = ['--cfg-options', 'a="b c"']
    if launcher == 'dist':
        printed = run(tmp_path, tool(name, *files, '2', *options), PYTHON=str(stand_in),
                      PORT='29511').splitlines()
        assert printed[:6] == ['-m', 'torch.distributed.run', '--nnodes=1', '--node_rank=0',
                               '--nproc_per_node=2', '--master_addr=127.0.0.1']
        assert printed[6] == '--master_port=29511'
        assert printed[8:] == [*files, '--launcher', 'pytorch', *options]
        path = printed[7]
    else:
        printed = run(tmp_path, tool(name, 'part', 'job', *files, *options), PYTHON='python',
                      PATH=f'{tmp_path}:/usr/bin:/bin', GPUS='16', GPUS_PER_NODE='8',
                      SRUN_ARGS='--time 1:00').splitlines()
        assert printed[:12] == [
            '-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8',
            '--cpus-per-task=5', '--kill-on-bad-exit=1', '--time', '1:00', 'python', '-u']
        assert printed[13:] == [*files, '--launcher=slurm', *options]
        path = printed[12]
    assert path.endswith(f'/tools/{script}.py')
