# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""LRR as a straightforward port would have it: what this package's head is measured against.

Plain convolutions, grouped transposed ones with frozen bases, ``F.interpolate``, a pair of
``max_pool2d`` per mask, and ``cv2`` for the targets. Same parameters, same scores, same losses.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mmseg_lrr.models import LRRHead


def pooled_range(p: Tensor, window: int = 9) -> Tensor:
    """Compute maximum minus minimum of each window by two poolings."""
    radius = window // 2
    return F.max_pool2d(p, window, 1, radius) + F.max_pool2d(-p, window, 1, radius)


def textbook_mask(scores: Tensor, window: int = 9) -> Tensor:
    """Compute the pooled range of softmax(scores)."""
    return pooled_range(scores.softmax(dim=1), window)


def textbook_reconstruction(coefficients: Tensor, bases: Tensor) -> Tensor:
    """Paint coefficients with a grouped transposed convolution."""
    num_classes, num_bases, size, _ = bases.shape
    return F.conv_transpose2d(
        coefficients, bases.reshape(num_classes * num_bases, 1, size, size), stride=size // 2,
        padding=size // 4, groups=num_classes)


def textbook_targets(labels: np.ndarray, num_classes: int, radius: int = 32
                     ) -> tuple[np.ndarray, np.ndarray]:
    """Dilate and erode every class's mask with the whole disk by cv2, void as class 0."""
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None]**2 + offsets**2 <= radius**2).astype(np.uint8)
    labels = np.where(labels == 255, 0, labels)
    masks = (labels[:, None] == np.arange(num_classes)[:, None, None]).astype(np.uint8)
    planes = masks.reshape(-1, *labels.shape[1:])
    dilated = np.stack([cv2.dilate(mask, disk) for mask in planes]).reshape(masks.shape)
    eroded = np.stack([cv2.erode(mask, disk) for mask in planes]).reshape(masks.shape)
    return 2.0 * dilated - 1, 2.0 * eroded - 1


def block_labels(size: int, batch: int, num_classes: int) -> Tensor:
    """Make (batch, size, size) labels: 64-px blocks of a few classes, 1 in 20 of them ignored."""
    generator = np.random.default_rng(0)
    blocks = generator.choice(
        [0, 0, 0, 1, 2, num_classes - 1], (batch, size // 64 + 1, size // 64 + 1))
    blocks[generator.random(blocks.shape) < 0.05] = 255
    return torch.from_numpy(blocks).repeat_interleave(64, 1).repeat_interleave(64, 2)[
        :, :size, :size].contiguous()


class TextbookHead(nn.Module):
    """The pyramid of an :class:`LRRHead` without DE, whose weights it shares, the plain way."""

    def __init__(self, head: LRRHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the scores by level, coarse to fine."""
        scores, predictions = None, {}
        for (name, level), feature in zip(self.head.levels.items(), reversed(inputs), strict=True):
            conv = level.coefficients
            coefficients = F.conv2d(feature, conv.weight, conv.bias, padding=conv.padding)
            detail = textbook_reconstruction(coefficients, level.reconstruction.bases)
            if scores is None:
                scores = detail
            else:
                upsampled = F.interpolate(
                    scores, scale_factor=2, mode='bilinear', align_corners=False)
                scores = upsampled + textbook_mask(upsampled) * detail
            predictions[name] = scores
        return predictions

    def loss(self, inputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Sum the softmax losses of every level, each normalised by its image's labelled pixels."""
        total = 0
        for level, scores in self(inputs).items():
            stride = self.head.level_strides[level]
            target = labels[:, stride // 2::stride, stride // 2::stride]
            loss = F.cross_entropy(scores, target, ignore_index=255, reduction='none')
            valid = (target != 255).sum(dim=(1, 2))
            total = total + (loss.sum(dim=(1, 2)) / (valid + 1)).mean()
        return total
