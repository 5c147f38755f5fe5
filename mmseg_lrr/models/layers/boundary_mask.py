# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The mask that lets detail in only at the boundaries of the coarser prediction."""

import torch.nn as nn
from mmengine.logging import MessageHub
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.precision import full_precision
from mmseg_lrr.ops.sliding import sliding_range


@MODELS.register_module()
class BoundaryMask(nn.Module):
    """Sliding maximum minus sliding minimum of the coarser level's probabilities, per class.

    Near 0 where the coarser level is sure of a class or of its absence, near 1 at its boundaries
    (docs/method.md, "The pyramid"; ``prob_dilate_*`` in the released network). Windows are clipped
    at the border. Gradients flow through the mask; at ties they go to the first of equal pixels.

    Args:
        window: Side of the square window in pixels of the level's own score map; odd. 9 in the
            released VOC network, 17 in the Cityscapes one.
        soft_start: Share of the training, in [0, 1], over which the mask closes, from 1 everywhere:
            at first the coarser level has no boundaries to show. 0 in the released code.
    """

    def __init__(self, *, window: int = 9, soft_start: float = 0) -> None:
        super().__init__()
        self.window = checks.odd('window', window, 3)
        if not 0 <= soft_start <= 1:
            raise ValueError(f'soft_start is a share of the training, in [0, 1]; got {soft_start}')
        self.soft_start = soft_start

    def forward(self, scores: Tensor) -> Tensor:
        """Compute the mask of the detail that is added to ``scores``.

        Args:
            scores: (N, C, H, W), the coarser level's scores, upsampled to this level.

        Returns:
            (N, C, H, W) in [0, 1], in float32 where ``scores`` are of lower precision.
        """
        mask = sliding_range(full_precision(scores).softmax(dim=1), self.window)
        strength = self.strength() if self.training else 1
        return mask if strength == 1 else 1 - strength * (1 - mask)

    def strength(self) -> float:
        """How far the mask has closed at the runner's present iteration, in [0, 1]."""
        training = MessageHub.get_current_instance()
        closing = self.soft_start * training.get_info('max_iters', 0)
        return min(1, training.get_info('iter') / closing) if closing else 1

    def extra_repr(self) -> str:
        return f'window={self.window}, soft_start={self.soft_start:g}'
