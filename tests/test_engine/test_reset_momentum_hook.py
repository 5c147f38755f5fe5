# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import HOOKS


def train(optimizer: type, reset: bool, **options: float) -> float:
    """Three epochs of two steps on x^2 / 2 from 1; gives x."""
    x = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    runner = SimpleNamespace(optim_wrapper=OptimWrapper(optimizer([x], lr=0.1, **options)))
    hook = HOOKS.build(dict(type='ResetMomentumHook'))
    for _ in range(3):
        if reset:
            hook.before_train_epoch(runner)
        for _ in range(2):
            runner.optim_wrapper.update_params(x**2 / 2)
    return x.item()


def test_every_epoch_starts_without_momentum() -> None:
    x = 1.0
    for _ in range(3):
        momentum = 0.0
        for _ in range(2):
            momentum = 0.9 * momentum + x
            x -= 0.1 * momentum
    assert train(torch.optim.SGD, True, momentum=0.9) == pytest.approx(x, rel=1e-12)
    assert train(torch.optim.AdamW, True) == train(torch.optim.AdamW, False)
