# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One rate of the head moves the scores alike, whatever the features."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_lrr.models.layers import CoefficientConv

#: Channels, kernel size and size of the features of two levels.
LEVELS = {'fine': (6, 1, 40.), 'coarse': (64, 5, .02)}
BASE = 0.01
_experiments = itertools.count()


class Model(BaseModel):
    """The levels' outputs at the centre of a map that is as large as the filter."""

    def __init__(self) -> None:
        super().__init__()
        self.decode_head = nn.ModuleDict({
            name: CoefficientConv(channels, 2, size)
            for name, (channels, size, _) in LEVELS.items()})
        self.other = nn.Parameter(torch.zeros(1))
        self.changes: list[dict[str, float]] = []

    def outputs(self, name: str) -> Tensor:
        channels, size, gain = LEVELS[name]
        signs = torch.arange(channels * size * size).view(1, channels, size, size) % 3 - 1
        feature = gain * torch.where(signs == 0, 1, signs)
        return self.decode_head[name](feature)[0, :, size // 2, size // 2]

    def forward(self, inputs, data_samples=None, mode='loss') -> dict[str, Tensor]:
        # Without the biases, which are no filters.
        outputs = {name: self.outputs(name) - conv.bias
                   for name, conv in self.decode_head.items()}
        self.changes.append({name: float(output[0].detach()) for name, output in outputs.items()})
        return dict(loss=.5 * sum(output.sum() for output in outputs.values()) + 0 * self.other)


def train(folder: Path, optimizer: dict, iterations: int = 4, **options) -> Runner:
    runner = Runner(
        model=Model(), work_dir=str(folder),
        train_dataloader=dict(
            batch_size=1, num_workers=0, sampler=dict(type='InfiniteSampler'),
            dataset=[torch.zeros(1)] * 9),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(
            optimizer=dict(lr=BASE, **optimizer),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=.5)})),
        param_scheduler=[
            dict(type='LinearLR', start_factor=.2, begin=0, end=2, by_epoch=False),
            # Starts from the rates that it has noted, not from the present ones.
            dict(type='CosineRestartLR', periods=[4], eta_min=0, begin=2, end=6, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
        custom_hooks=[dict(type='CoefficientRatesHook')], default_scope='mmseg',
        experiment_name=f'rates_{next(_experiments)}', **{'log_level': 'WARNING', **options})
    runner.train()
    return runner


@pytest.mark.parametrize(('optimizer', 'step'), [
    # The gradient of an output is .5; one of Adam's steps does not depend on it.
    (dict(type='SGD'), .5 * 512 / 12), (dict(type='AdamW', weight_decay=0), 512)])
def test_a_step_moves_every_output_alike(
    optimizer: dict, step: float, tmp_path: Path
) -> None:
    runner = train(tmp_path, optimizer)
    # Warm-up from a fifth, then down.
    moved = 0.
    for change, rate in zip(runner.model.changes[1:], (.2, 1.), strict=False):
        moved -= .5 * BASE * rate * step
        assert change == pytest.approx(dict.fromkeys(LEVELS, moved), rel=1e-4)
    rates = {name: next(group['lr'] for group in runner.optim_wrapper.param_groups
                        if group['params'][0] is conv.weight)
             for name, conv in runner.model.decode_head.items()}
    other = next(group['lr'] for group in runner.optim_wrapper.param_groups
                 if group['params'][0] is runner.model.other)
    for name, (channels, size, gain) in LEVELS.items():
        assert rates[name] == pytest.approx(
            .5 * other * 512 / (channels * size**2) / (
                12 * gain**2 if optimizer['type'] == 'SGD' else gain), rel=1e-4)


def test_a_resumed_training_goes_on_at_the_same_rates(tmp_path: Path) -> None:
    whole = train(tmp_path, dict(type='SGD', momentum=.9))
    resumed = train(tmp_path / 'resumed', dict(type='SGD', momentum=.9), resume=True,
                    load_from=str(tmp_path / 'iter_2.pth'))
    assert resumed.model.changes == whole.model.changes[2:]


def test_filters_without_a_group_of_their_own(tmp_path: Path) -> None:
    runner = Runner(
        model=Model(), work_dir=str(tmp_path), experiment_name='rates_shared',
        train_dataloader=dict(batch_size=1, sampler=dict(type='InfiniteSampler'),
                              dataset=[torch.zeros(1)], num_workers=0),
        train_cfg=dict(by_epoch=False, max_iters=1), optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=.1)),
        custom_hooks=[dict(type='CoefficientRatesHook')], default_scope='mmseg',
        log_level='WARNING')
    with pytest.raises(ValueError, match=r'set optim_wrapper\.paramwise_cfg'):
        runner.train()
