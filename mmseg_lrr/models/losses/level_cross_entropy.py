# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Softmax loss of one level, at that level's own resolution."""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops.precision import full_precision


@MODELS.register_module()
class LevelCrossEntropyLoss(nn.Module):
    """Cross entropy in which each image weighs the same, as in the released code.

    Per image the sum over the valid pixels is divided by (number of valid pixels + 1); then the
    mean is taken over the batch. The toolbox's ``CrossEntropyLoss`` takes one mean over all pixels
    of the batch. The head calls it once per level and names each term ``{loss_name}_{level}``.

    Args:
        loss_weight: Factor on the loss.
        class_weight: One weight per class, or a file of them that mmseg's losses read. A pixel's
            loss is multiplied by its class's weight; the divisor stays the number of pixels.
        loss_name: Name of the term in the log; must begin with ``loss_``.
    """

    def __init__(self, *, loss_weight: float = 1.0,
                 class_weight: Sequence[float] | str | None = None,
                 loss_name: str = 'loss_ce') -> None:
        super().__init__()
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name must begin with 'loss_', got {loss_name!r}: mmengine does "
                             'not train on other names')
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        weights = get_class_weight(class_weight)
        self.register_buffer(
            'class_weight', None if weights is None else torch.tensor(weights).float(),
            persistent=False)

    def forward(self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None,
                ignore_index: int = 255, reduction_override: str | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            cls_score: (N, C, h, w) scores.
            label: (N, h, w) integer, at the resolution of ``cls_score``.
            weight: (N, h, w) factors on the pixels' losses, or None.
            ignore_index: Label of pixels that do not count.
            reduction_override: ``'none'`` gives the pixels' losses, (N, h, w), to mmseg's samplers.

        Returns:
            Scalar; 0, with zero gradients, if no pixel is valid.
        """
        cls_score = full_precision(cls_score)
        class_weight = self.class_weight
        if class_weight is not None:
            class_weight = class_weight.to(cls_score.dtype)
        loss = F.cross_entropy(
            cls_score, label.long(), weight=class_weight, ignore_index=ignore_index,
            reduction='none')
        if weight is not None:
            loss = loss * weight
        if reduction_override == 'none':
            return loss
        valid = (label != ignore_index).flatten(1).sum(dim=1)
        return self.loss_weight * (loss.flatten(1).sum(dim=1) / (valid + 1)).mean()
