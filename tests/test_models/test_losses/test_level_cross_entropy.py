# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The per-image softmax loss against loops."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.losses import LevelCrossEntropyLoss

from ... import references

WEIGHTS = [.5, 2., 0., 1.25]


@pytest.fixture
def scores() -> torch.Tensor:
    return 3 * torch.randn(3, 4, 6, 7, dtype=torch.float64)


@pytest.fixture
def labels() -> torch.Tensor:
    """One image with few labels, which weighs as much as the others."""
    labels = torch.randint(4, (3, 6, 7))
    labels[torch.rand(labels.shape) < .3] = 255
    labels[1, 1:] = 255
    return labels


@pytest.mark.parametrize('weights', [None, WEIGHTS, 'weights.npy'])
def test_equals_loops(tmp_path, scores: torch.Tensor, labels: torch.Tensor, weights) -> None:
    if isinstance(weights, str):
        weights = str(tmp_path / weights)
        np.save(weights, WEIGHTS)
    loss = MODELS.build(dict(type='LevelCrossEntropyLoss', class_weight=weights, loss_weight=.4))
    expected = .4 * references.cross_entropy(
        scores.numpy(), labels.numpy(), weights and np.array(WEIGHTS))
    assert loss(scores, labels).item() == pytest.approx(expected, rel=1e-12)
    assert loss(scores.float(), labels.byte()).item() == pytest.approx(expected, rel=1e-4)
    moved = torch.where(labels == 255, -1, labels)
    assert loss(scores, moved, ignore_index=-1).item() == pytest.approx(expected, rel=1e-12)


def test_pixel_weights(scores: torch.Tensor, labels: torch.Tensor) -> None:
    weight = torch.rand(labels.shape, dtype=torch.float64)
    alone = torch.nn.functional.cross_entropy(scores, labels, ignore_index=255, reduction='none')
    expected = sum(
        (alone[n] * weight[n]).sum() / ((labels[n] != 255).sum() + 1) for n in range(3)) / 3
    assert LevelCrossEntropyLoss()(scores, labels, weight=weight).item() == pytest.approx(
        expected.item(), rel=1e-12)


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
