# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checkpoints that are whole, in order, and gone on from bit by bit."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from small_segmentors import build, lrr_config, make_images
from torch import Tensor, nn

from mmseg_lrr.engine.hooks import lrr_checkpoint_hook

from .small_test import make_runner

EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=4)
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=1)

_numbers = itertools.count()


class _Line(BaseModel):
    """The least that can be trained; draws a random number per step."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 1)

    def forward(self, inputs: list[Tensor], mode: str = 'loss') -> dict[str, Tensor] | list[dict]:
        output = self.line(torch.stack(inputs))
        return dict(loss=(output - torch.rand(1)).square().mean()) if mode == 'loss' else [{}]


class _Growing(BaseMetric):
    """Every validation is better than the last."""

    def process(self, data_batch: list, data_samples: list) -> None:
        self.results.append(next(_numbers))

    def compute_metrics(self, results: list[int]) -> dict[str, int]:
        return dict(mIoU=max(results), again=max(results))


def train(work_dir: Path, loop: dict, *, resume: bool = False, **hook: object) -> Runner:
    """Train for three iterations an epoch."""
    torch.manual_seed(0)
    images = [dict(inputs=row) for row in torch.rand(6, 4)]
    loader = dict(dataset=images, batch_size=2, num_workers=0)
    sampler = 'DefaultSampler' if loop is EPOCHS else 'InfiniteSampler'
    runner = Runner(
        model=_Line(), work_dir=str(work_dir), train_cfg=dict(loop), resume=resume,
        train_dataloader=dict(loader, sampler=dict(type=sampler, shuffle=True)),
        val_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=[_Growing()], val_cfg=dict(type='ValLoop'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        default_hooks=dict(checkpoint=dict(type='LRRCheckpointHook', **hook), logger=None),
        randomness=dict(seed=1), default_scope='mmseg', log_level='ERROR',
        experiment_name=f'checkpoint_hook_{next(_numbers)}')
    runner.train()
    return runner


def checkpoints(work_dir: Path) -> list[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_a_resumed_run_ends_bit_equal(tmp_path: Path, loop: dict) -> None:
    """Though validations lie between the checkpoint and the end."""
    by_epoch = loop is EPOCHS
    whole = train(tmp_path, loop, interval=1, by_epoch=by_epoch)
    expected = {name: value.clone() for name, value in whole.model.state_dict().items()}
    first = tmp_path / f'{"epoch" if by_epoch else "iter"}_1.pth'
    (tmp_path / 'last_checkpoint').write_text(str(first))
    resumed = train(tmp_path, loop, interval=1, by_epoch=by_epoch, resume=True)
    weights = torch.load(first)['state_dict']
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name])
        assert not torch.equal(value, weights[name])


def test_only_older_checkpoints_are_removed(tmp_path: Path) -> None:
    (tmp_path / '.latest_2.pth.123.part').write_bytes(b'half')
    train(tmp_path, EPOCHS, interval=1, max_keep_ckpts=1, filename_tmpl='latest_{}.pth')
    assert checkpoints(tmp_path) == ['latest_4.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'latest_4.pth')
    assert not list(tmp_path.glob('.*.part'))


def test_the_only_checkpoint_stays_if_the_next_cannot_be_written(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        if len(checkpoints(tmp_path)) == 1:
            raise OSError('No space left on device')

    monkeypatch.setattr(lrr_checkpoint_hook.os, 'fsync', fsync)
    with pytest.raises(OSError, match='No space left'):
        train(tmp_path, EPOCHS, interval=1, max_keep_ckpts=1)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    assert not list(tmp_path.glob('.*.part'))


def test_a_best_checkpoint_of_the_same_name_stays(tmp_path: Path) -> None:
    """Every validation of an iteration-based loop is of epoch 0; an older one goes."""
    train(tmp_path / 'iterations', ITERATIONS, save_best=['mIoU', 'again'], rule='greater')
    train(tmp_path / 'epochs', EPOCHS, save_best='mIoU')
    for folder, best in (('iterations', ['best_again_epoch_0.pth', 'best_mIoU_epoch_0.pth']),
                         ('epochs', ['best_mIoU_epoch_4.pth'])):
        assert [name for name in checkpoints(tmp_path / folder) if 'best' in name] == best


def test_validation_alone_runs(tmp_path: Path) -> None:
    runner, _ = make_runner(build(lrr_config()), make_images(tmp_path / 'images', 1), tmp_path,
                            hooks=[dict(type='LRRCheckpointHook', by_epoch=False)])
    assert 'mIoU' in runner.val()
    assert not checkpoints(tmp_path)
