# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The per-image softmax loss against loops."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.losses import LevelCrossEntropyLoss

from ... import references


def batch(images: int = 3, num_classes: int = 4, size: tuple[int, int] = (6, 7),
          ignored: float = .3) -> tuple[torch.Tensor, torch.Tensor]:
    scores = 3 * torch.randn(images, num_classes, *size, dtype=torch.float64)
    labels = torch.randint(num_classes, (images, *size))
    labels[torch.rand(labels.shape) < ignored] = 255
    return scores, labels


def test_equals_loops() -> None:
    scores, labels = batch()
    labels[1, 1:] = 255  # one image with few labels weighs as much as the others
    loss = MODELS.build(dict(type='LevelCrossEntropyLoss'))
    expected = references.cross_entropy(scores.numpy(), labels.numpy())
    assert loss(scores, labels).item() == pytest.approx(expected, rel=1e-12)
    assert loss(scores.float(), labels).item() == pytest.approx(expected, rel=1e-4)


def test_loss_weight_and_class_weight(tmp_path) -> None:
    scores, labels = batch()
    weights = [.5, 2., 0., 1.25]
    expected = references.cross_entropy(scores.numpy(), labels.numpy(), np.array(weights))
    assert LevelCrossEntropyLoss(class_weight=weights, loss_weight=.4).double()(
        scores, labels).item() == pytest.approx(.4 * expected, rel=1e-12)
    np.save(tmp_path / 'weights.npy', np.array(weights))
    assert LevelCrossEntropyLoss(class_weight=str(tmp_path / 'weights.npy'))(
        scores, labels).item() == pytest.approx(expected, rel=1e-12)


def test_pixel_weights() -> None:
    scores, labels = batch()
    weight = torch.rand(labels.shape, dtype=torch.float64)
    alone = torch.nn.functional.cross_entropy(scores, labels, ignore_index=255, reduction='none')
    expected = sum(
        (alone[n] * weight[n]).sum() / ((labels[n] != 255).sum() + 1) for n in range(3)) / 3
    assert LevelCrossEntropyLoss()(scores, labels, weight=weight).item() == pytest.approx(
        expected.item(), rel=1e-12)


def test_another_ignore_index() -> None:
    scores, labels = batch()
    expected = references.cross_entropy(scores.numpy(), labels.numpy())
    labels[labels == 255] = -1
    assert LevelCrossEntropyLoss()(scores, labels, ignore_index=-1).item() == pytest.approx(
        expected, rel=1e-12)


def test_labels_of_bytes() -> None:
    scores, labels = batch()
    assert torch.equal(LevelCrossEntropyLoss()(scores, labels.byte()),
                       LevelCrossEntropyLoss()(scores, labels))


def test_lower_precision_is_summed_in_float32() -> None:
    # In float16 the sum over these pixels is infinite.
    scores = (30 * torch.randn(1, 3, 90, 90)).half().requires_grad_()
    labels = torch.randint(3, (1, 90, 90))
    loss = LevelCrossEntropyLoss()(scores, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        references.cross_entropy(scores.detach().double().numpy(), labels.numpy()), rel=1e-5)
    loss.backward()
    assert scores.grad.dtype == torch.float16 and scores.grad.isfinite().all()
