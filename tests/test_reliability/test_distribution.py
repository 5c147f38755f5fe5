# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Two processes without a GPU train and test as one process does."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg_lrr.apis.cpu_processes import cpu_process_group
from tiny_project import REPO_ROOT, checkpoint, make_project, run, tool

from mmseg_lrr.apis import toolbox

#: Imported by the config: notes who computes bases, and how the model is wrapped.
_WITNESS = """
import os
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from mmseg_lrr.engine.hooks import class_bases_hook

compute = class_bases_hook.compute_class_bases

def noting(*args, **options):
    with open('computed.txt', 'a') as file:
        file.write(os.environ.get('RANK', 'alone') + ' ')
    return compute(*args, **options)

class_bases_hook.compute_class_bases = noting

@HOOKS.register_module()
class WitnessHook(Hook):
    def after_train(self, runner):
        with open(f'wrapped_{runner.rank}.txt', 'w') as file:
            file.write(f'{type(runner.model).__name__} {runner.model.find_unused_parameters} '
                       f'{runner.model.broadcast_buffers}')
"""


def metrics(work_dir: Path) -> dict:
    """What the last validation of a run wrote."""
    (path, ) = work_dir.glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {name: value for name, value in next(
        record for record in reversed(records) if 'mIoU' in record).items() if 'time' not in name}


def test_two_processes_train_and_validate_as_one(tmp_path: Path) -> None:
    """Seven images: the second process's last batch is one that the first has had."""
    folder = make_project(tmp_path, images=7, iterations=3, keep=-1, augment=False)
    # With other numbers of threads, as they come about on their own.
    run(folder, tool('train.py', 'config.py', '--work-dir', 'one'), OMP_NUM_THREADS='2')
    one = folder / 'one'

    (folder / 'witness.py').write_text(_WITNESS)
    config = (folder / 'config.py').read_text()
    (folder / 'two.py').write_text(
        config + "\ncustom_imports = dict(imports=['mmseg_lrr', 'witness'])\n"
        "custom_hooks.append(dict(type='WitnessHook'))\n")
    run(folder, tool('dist_train.sh', 'two.py', '2', '--work-dir', 'two', '--cfg-options',
                     'train_dataloader.batch_size=2'), PYTHONPATH=f'{REPO_ROOT}:{folder}',
        OMP_NUM_THREADS='1')

    weights = [checkpoint(folder / name / 'iter_3.pth')['state_dict'] for name in ('one', 'two')]
    first = checkpoint(one / 'iter_1.pth')['state_dict']
    assert weights[0].keys() == weights[1].keys()
    moved = max((weights[0][name] - first[name]).abs().max().item()
                for name in first if first[name].is_floating_point())
    assert moved > 1e-3
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-5)
    assert metrics(folder / 'two') == metrics(one)
    assert (folder / 'computed.txt').read_text() == '0 '
    for rank in (0, 1):
        assert (folder / f'wrapped_{rank}.txt').read_text() == (
            'MMDistributedDataParallel False False')
    # Both processes' random numbers are there to go on with.
    assert len(checkpoint(folder / 'two' / 'iter_3.pth')['random_states']) == 2


@pytest.mark.slow
def test_two_processes_resume_and_test_as_one(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    for name, command in (
            ('tested', tool('test.py', 'config.py', path)),
            ('tested_by_two', tool('dist_test.sh', 'config.py', path, '2'))):
        run(folder, [*command, '--work-dir', name, '--aug-test', '--crf'])
    results = [json.loads(next((folder / name).glob('*/*.json')).read_text())
               for name in ('tested', 'tested_by_two')]
    results = [{name: value for name, value in result.items() if 'time' not in name}
               for result in results]
    assert results[0] == results[1]
    assert 'trimap_mIoU@4' in results[0]


def test_only_the_launcher_of_torch_without_a_gpu_makes_a_group(
        monkeypatch: pytest.MonkeyPatch) -> None:
    with cpu_process_group('none', None) as options:
        assert options == []
    monkeypatch.setattr('mmseg_lrr.apis.cpu_processes.get_device', lambda: 'cuda')
    with cpu_process_group('pytorch', None) as options:
        assert options == []
    assert not torch.distributed.is_initialized()


def test_a_group_leaves_what_the_config_says_of_the_wrapper(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmseg_lrr.apis.cpu_processes.get_device', lambda: 'cpu')
    for name, value in (('RANK', '0'), ('WORLD_SIZE', '1'), ('MASTER_ADDR', '127.0.0.1'),
                        ('MASTER_PORT', '0')):
        monkeypatch.setenv(name, value)
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(timeout=60)), find_unused_parameters=True,
                      model_wrapper_cfg=dict(broadcast_buffers=True)))
    with cpu_process_group('pytorch', cfg) as options:
        assert torch.distributed.get_backend() == 'gloo'
        assert options == ['model_wrapper_cfg.device_ids=None',
                           'model_wrapper_cfg.find_unused_parameters=True']
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(('argv', 'launcher'), [
    (['c.py'], 'none'), (['c.py', '--launcher', 'pytorch'], 'pytorch'),
    (['c.py', '--launch=slurm', '--cfg-options', 'a=b'], 'slurm'), (['c.py', '--launcher'], 'none'),
])
def test_the_launcher_is_read_as_the_toolbox_reads_it(argv: list[str], launcher: str) -> None:
    assert toolbox._launcher(argv) == launcher


@pytest.mark.parametrize('name', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh',
                                  'slurm_test.sh'])
def test_launchers_explain_themselves_without_arguments(name: str) -> None:
    done = subprocess.run(tool(name), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


@pytest.mark.parametrize(('name', 'files'), [
    ('slurm_train.sh', ['c.py']), ('slurm_test.sh', ['c.py', 'p.pth'])])
def test_slurm_starts_a_process_a_gpu(tmp_path: Path, name: str, files: list[str]) -> None:
    """With a stand-in for srun that prints what it is asked to run."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    printed = run(tmp_path, tool(name, 'part', 'job', *files, '--cfg-options', 'a="b c"'),
                  PATH=f'{tmp_path}:/usr/bin:/bin', GPUS='16', GPUS_PER_NODE='8', PYTHON='python',
                  SRUN_ARGS='--time 1:00').splitlines()
    assert printed[:9] == ['-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
                           '--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1',
                           '--time']
    script = name.removeprefix('slurm_').replace('.sh', '.py')
    assert printed[10:12] == ['python', '-u']
    assert printed[12].endswith(f'/tools/{script}')
    assert printed[13:] == [*files, '--launcher=slurm', '--cfg-options', 'a="b c"']
