# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pixel accuracy for the training log."""

from torch import Tensor


def accuracy(scores: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Compute the accuracy in percent of (N, C, H, W) scores against (N, H, W) labels.

    mmseg's own picks the valid pixels by a mask, for which a GPU has to stop.
    """
    valid = labels != ignore_index
    correct = (scores.argmax(dim=1) == labels) & valid
    return 100 * correct.sum() / valid.sum().clamp(min=1)
