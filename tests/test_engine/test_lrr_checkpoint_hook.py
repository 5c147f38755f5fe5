# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Which checkpoints the hook makes, keeps and refuses to make."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from small_segmentors import build, lrr_config
from torch import Tensor, nn

from .small_test import make_images
from .test_lrr_visualization_hook import make_runner

EPOCHS = dict(type='EpochBasedTrainLoop', max_epochs=4)
ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=1)

_numbers = itertools.count()


def test_validation_alone_runs(tmp_path: Path) -> None:
    runner = make_runner(build(lrr_config()), make_images(tmp_path / 'images', 1), tmp_path)
    runner.register_hook(HOOKS.build(dict(type='LRRCheckpointHook', by_epoch=False)))
    assert 'mIoU' in runner.val()
    assert not list(tmp_path.rglob('*.pth'))


class _Line(BaseModel):
    """The least that can be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 1)

    def forward(self, inputs: list[Tensor], mode: str = 'loss') -> dict[str, Tensor] | list[dict]:
        output = self.line(torch.stack(inputs))
        return dict(loss=(output - 1).square().mean()) if mode == 'loss' else [{}]


class _Growing(BaseMetric):
    """Every validation is better than the last."""

    def process(self, data_batch: list, data_samples: list) -> None:
        self.results.append(next(_numbers))

    def compute_metrics(self, results: list[int]) -> dict[str, int]:
        return dict(mIoU=max(results), again=max(results))


def train(work_dir: Path, loop: dict, *, accumulate: int = 1, resume: bool = False,
          evaluator: list | None = None, **hook: object) -> Runner:
    """Train for three iterations an epoch."""
    torch.manual_seed(0)
    images = [dict(inputs=row) for row in torch.rand(6, 4)]
    loader = dict(dataset=images, batch_size=2, num_workers=0)
    validation = {} if evaluator is None else dict(
        val_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=evaluator, val_cfg=dict(type='ValLoop'))
    sampler = 'DefaultSampler' if loop is EPOCHS else 'InfiniteSampler'
    runner = Runner(
        model=_Line(), work_dir=str(work_dir), train_cfg=dict(loop), resume=resume,
        train_dataloader=dict(loader, sampler=dict(type=sampler, shuffle=True)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9),
                           accumulative_counts=accumulate),
        default_hooks=dict(checkpoint=dict(type='LRRCheckpointHook', **hook), logger=None),
        randomness=dict(seed=1), default_scope='mmseg', log_level='ERROR',
        experiment_name=f'checkpoint_hook_{next(_numbers)}', **validation)
    runner.train()
    return runner


def checkpoints(work_dir: Path) -> list[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.mark.parametrize('accumulate, interval', [(1, 1), (2, 2), (3, 1)])
def test_whole_epochs_are_resumed_bit_equal(
        tmp_path: Path, accumulate: int, interval: int) -> None:
    whole = train(tmp_path, EPOCHS, accumulate=accumulate, interval=interval)
    expected = {name: value.clone() for name, value in whole.model.state_dict().items()}
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / f'epoch_{interval}.pth'))
    resumed = train(tmp_path, EPOCHS, accumulate=accumulate, interval=interval, resume=True)
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize('loop, accumulate, hook, message', [
    (EPOCHS, 2, dict(interval=1), r'^interval .* accumulative_counts \(2\), got 1 epochs of 3'),
    (EPOCHS, 2, dict(interval=2, save_begin=1), r'save_begin .* \(2\), got 1 epochs of 3'),
    (EPOCHS, 2, dict(interval=2, save_best='mIoU'), r'val_interval .* \(2\), got 1 epochs of 3'),
    (EPOCHS, 2, dict(interval=3, by_epoch=False), r'^interval .* \(2\), got 3: gradients'),
    (ITERATIONS, 2, dict(interval=3, by_epoch=False), r'^interval .* \(2\), got 3: gradients'),
    (ITERATIONS, 2, dict(interval=2, by_epoch=False, save_begin=1), r'save_begin .*, got 1: grad'),
    (ITERATIONS, 2, dict(interval=2, by_epoch=False, save_best='mIoU'), r'val_interval .* got 1: '),
])
def test_a_checkpoint_that_cannot_be_gone_on_from_is_refused(
        tmp_path: Path, loop: dict, accumulate: int, hook: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path, loop, accumulate=accumulate, **hook)
    assert not checkpoints(tmp_path)


def test_a_checkpoint_inside_an_epoch_is_not_resumed(tmp_path: Path) -> None:
    """Trained it is, with a warning; checkpoints of whole epochs among the others do resume."""
    options = dict(interval=2, by_epoch=False)
    train(tmp_path, EPOCHS, **options)
    assert checkpoints(tmp_path) == [f'iter_{n}.pth' for n in (10, 12, 2, 4, 6, 8)]
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    with pytest.raises(ValueError, match='iteration 4, inside an epoch of 3 iterations'):
        train(tmp_path, EPOCHS, resume=True, **options)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_6.pth'))
    train(tmp_path, EPOCHS, resume=True, **options)


@pytest.mark.parametrize('hook', [dict(interval=-1), dict(interval=2, save_begin=2)])
def test_whole_steps_are_not_refused(tmp_path: Path, hook: dict) -> None:
    """The last checkpoint is always one: the optimiser ends with what is left."""
    train(tmp_path, EPOCHS, accumulate=2, **hook)
    assert 'epoch_4.pth' in checkpoints(tmp_path)


def test_only_older_checkpoints_are_removed(tmp_path: Path) -> None:
    train(tmp_path, EPOCHS, interval=1, max_keep_ckpts=1, filename_tmpl='latest_{}.pth')
    assert checkpoints(tmp_path) == ['latest_4.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'latest_4.pth')


@pytest.mark.parametrize('best', ['mIoU', ['mIoU', 'again']])
def test_a_best_checkpoint_of_the_same_name_stays(
        tmp_path: Path, best: str | list[str]) -> None:
    """Every validation of an iteration-based loop is of epoch 0."""
    train(tmp_path, ITERATIONS, evaluator=[_Growing()], save_best=best, rule='greater')
    names = [best] if isinstance(best, str) else best
    assert [name for name in checkpoints(tmp_path) if 'best' in name] == sorted(
        f'best_{name}_epoch_0.pth' for name in names)
