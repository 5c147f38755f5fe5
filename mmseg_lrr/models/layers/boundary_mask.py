# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The mask that lets detail in only at the boundaries of the coarser prediction."""

import torch.nn as nn
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
    """

    def __init__(self, *, window: int = 9) -> None:
        super().__init__()
        self.window = checks.odd('window', window, 3)

    def forward(self, scores: Tensor) -> Tensor:
        """Compute the mask of the detail that is added to ``scores``.

        Args:
            scores: (N, C, H, W), the coarser level's scores, upsampled to this level.

        Returns:
            (N, C, H, W) in [0, 1], in float32 where ``scores`` are of lower precision.
        """
        return sliding_range(full_precision(scores).softmax(dim=1), self.window)

    def extra_repr(self) -> str:
        return f'window={self.window}'
