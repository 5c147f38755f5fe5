# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

BATCH = dict(data_samples=[SegDataSample(metainfo=dict(img_path=f'{name}.jpg')) for name in 'ab'])


def look(hook, iteration: int, value: float, *, scaler: bool = False, last: int = 1000) -> Mock:
    """Let the hook see an iteration, the first being 0; return the logger's warnings."""
    runner = SimpleNamespace(
        iter=iteration, max_iters=last, logger=Mock(),
        optim_wrapper=SimpleNamespace(loss_scaler=None) if scaler else SimpleNamespace())
    ce = torch.tensor(1.0)
    other = torch.tensor(value)
    losses = {'loss': ce + other, 'loss_ce_4x': ce, 'loss_dice': other, 'acc_seg': other}
    hook.after_train_iter(runner, iteration, data_batch=BATCH, outputs=losses)
    return runner.logger.warning


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_loss_that_is_not_finite_ends_the_training(value: float) -> None:
    hook = HOOKS.build(dict(type='mmseg.NonFiniteHook', interval=5))
    look(hook, 4, 2.)
    look(hook, 8, value)  # Not looked at.
    match = rf'iteration 10: loss is {value}, loss_dice is {value} \(images a.jpg, b.jpg\).* lower'
    with pytest.raises(FloatingPointError, match=match):
        look(hook, 9, value)
    with pytest.raises(FloatingPointError, match='iteration 12'):
        look(hook, 11, value, last=12)


def test_a_gradient_scaler_may_leave_out_a_step() -> None:
    hook = HOOKS.build(dict(type='NonFiniteHook', interval=1))
    for iteration in (0, 2):
        warning = look(hook, iteration, float('inf'), scaler=True)
        assert 'the gradient scaler leaves out the step' in warning.call_args.args[0]
        look(hook, iteration + 1, 1., scaler=True)
    look(hook, 4, float('nan'), scaler=True)
    with pytest.raises(FloatingPointError, match='iteration 6'):
        look(hook, 5, float('nan'), scaler=True)
