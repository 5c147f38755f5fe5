# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Boundary masks that let all detail in at first and close while the network trains."""

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from torch import Tensor

from mmseg_lrr.models.layers import BoundaryMask


@MODELS.register_module()
class SoftStartMask(BoundaryMask):
    """1 - strength * (1 - mask): no mask at strength 0, the method's at 1."""

    def __init__(self, *, window: int = 9) -> None:
        super().__init__(window=window)
        self.register_buffer('strength', torch.ones(()))

    def forward(self, scores: Tensor) -> Tensor:
        """Mask (N, C, H, W), in [1 - strength, 1], of scores of that shape."""
        return 1 - self.strength * (1 - super().forward(scores))


@HOOKS.register_module()
class SoftStartHook(Hook):
    """Raise the masks' strength from 0 to 1 over the first part of training.

    Args:
        share: That part, of all iterations; > 0.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Sequence[dict] | dict | None = None) -> None:
        """Set the strength; it follows from the iteration, so that a resumed run goes on."""
        strength = min(1.0, runner.iter / (self.share * runner.max_iters))
        for module in runner.model.modules():
            if isinstance(module, SoftStartMask):
                module.strength.fill_(strength)
