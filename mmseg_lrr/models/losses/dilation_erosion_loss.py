# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Logistic losses on each class's dilated and eroded ground-truth mask."""

from collections.abc import Mapping, Sequence

import torch.nn as nn
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.dilation_erosion import VOIDS, dilation_erosion_targets, row_half_widths
from mmseg_lrr.ops.precision import full_precision
from mmseg_lrr.ops.pyramid import fit_map


def logistic_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Compute log(1 + exp(-t x)), summed over classes and pixels, over (pixels + 1), per image.

    Args:
        scores: x, (N, C, h, w).
        targets: t, (N, C, h, w) of +1 / -1, or 0 where there is no loss.

    Returns:
        (N, ), >= 0.
    """
    targets = targets.to(scores.dtype)
    loss = F.softplus(-targets * scores) * targets.abs()
    return loss.flatten(1).sum(dim=1) / (scores[0, 0].numel() + 1)


@MODELS.register_module()
class DilationErosionLoss(nn.Module):
    """The DE losses of every level of the two branches (docs/method.md, "Losses").

    An image of which no pixel is labelled says nothing, whatever ``void``: its loss is 0 (ours).

    Args:
        radii: Radius in pixels at input resolution; one, or one per level of the branch, coarse to
            fine.
        footprint: ``'disk'``, or ``'octagon'`` for MATLAB's ``strel`` as in the released code.
        void: ``'ignore'``: ignored pixels are of no class and have no loss; ``'class0'``: they are
            of class 0 as in the released code, for data sets where that is the background.
        loss_weight: Factor on the losses; one, or one per level, coarse to fine.
    """

    def __init__(self, *, radii: int | Sequence[int] = 32, footprint: str = 'disk',
                 void: str = 'ignore', loss_weight: float | Sequence[float] = 1.0) -> None:
        super().__init__()
        self.radii, self.loss_weight = radii, loss_weight
        self.footprint = footprint
        self.void = checks.one_of('void', void, VOIDS)
        for radius in [radii] if isinstance(radii, int) else radii:
            row_half_widths(radius, footprint)  # refuses what a footprint is not defined for

    def forward(self, dilation: Mapping[str, Tensor], erosion: Mapping[str, Tensor],
                labels: Tensor, strides: Mapping[str, int],
                ignore_index: int = 255) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            dilation: Scores of the dilated masks by level, coarse to fine, each (N, C, h, w) with
                h and w covering the label map at that level's stride.
            erosion: The same of the eroded masks.
            labels: (N, H, W) integer, at input resolution, after all augmentation and padding.
            strides: Pixels of ``labels`` to one of the scores', by level.
            ignore_index: Label of ignored pixels.

        Returns:
            Means over the batch:
            ``{'loss_dilation_32x': scalar, 'loss_erosion_32x': scalar, ...}``.
        """
        losses = {}
        labelled = (labels != ignore_index).flatten(1).any(dim=1)
        radii = checks.per_level('radii', self.radii, len(dilation))
        weights = checks.per_level('loss_weight', self.loss_weight, len(dilation))
        for level, radius, weight in zip(dilation, radii, weights, strict=True):
            targets = dilation_erosion_targets(
                labels, dilation[level].shape[1], radius, ignore_index,
                footprint=self.footprint, stride=strides[level], void=self.void)
            for name, scores, target in zip(('dilation', 'erosion'),
                                            (dilation[level], erosion[level]), targets,
                                            strict=True):
                loss = logistic_loss(fit_map(full_precision(scores), target.shape[2:]), target)
                losses[f'loss_{name}_{level}'] = weight * (loss * labelled).mean()
        return losses
