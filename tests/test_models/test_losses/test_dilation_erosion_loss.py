# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The DE losses against targets by brute force and sums by loops."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.losses import DilationErosionLoss, logistic_loss

from ... import references


def labels_of(images: int, height: int, width: int, num_classes: int) -> torch.Tensor:
    labels = torch.zeros(images, height, width, dtype=torch.int64)
    for n in range(images):
        for c in range(1, num_classes):
            y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
            labels[n, y:y + 9, x:x + 7] = c
    labels[torch.rand(labels.shape) < .1] = 255
    return labels


def expected_losses(scores: np.ndarray, labels: np.ndarray, radius: int, stride: int,
                    void: str, kind: int) -> float:
    """Mean over the batch of one branch's loss at one level; ``kind`` 0 dilation, 1 erosion."""
    num_classes = scores.shape[1]
    targets = references.dilation_erosion(
        labels, num_classes, references.disk(radius), void)[kind]
    targets = np.stack([references.subsample(image, stride) for image in targets])
    scores = references.crop(scores, *targets.shape[2:])
    return references.logistic(scores, targets)


def test_large_scores_neither_overflow_nor_vanish() -> None:
    scores = torch.tensor([[[[1e4]], [[-1e4]]]], requires_grad=True)
    loss = logistic_loss(scores, torch.tensor([[[[-1.]], [[-1.]]]]))
    assert loss.item() == 5e3  # 1e4 wrong, 0 right, over one pixel plus one
    loss.sum().backward()
    assert torch.equal(scores.grad.flatten(), torch.tensor([.5, 0.]))


@pytest.mark.parametrize(('size', 'void'), [
    ((33, 41), 'ignore'), ((33, 41), 'class0'), ((7, 1), 'ignore')])
def test_two_levels_with_a_radius_and_a_weight_each(size: tuple[int, int], void: str) -> None:
    labels, strides = labels_of(3, *size, 4), {'32x': 8, '16x': 4}
    dilation, erosion = ({
        level: torch.randn(3, 4, *(-(-side // (4 * stride)) * 4 for side in size)).double()
        for level, stride in strides.items()} for _ in range(2))
    loss = MODELS.build(
        dict(type='DilationErosionLoss', radii=(6, 3), void=void, loss_weight=(.5, 2.)))
    losses = loss(dilation, erosion, labels, strides)
    assert list(losses) == [
        'loss_dilation_32x', 'loss_erosion_32x', 'loss_dilation_16x', 'loss_erosion_16x']
    for level, radius, weight in (('32x', 6, .5), ('16x', 3, 2.)):
        for kind, (name, scores) in enumerate((('dilation', dilation), ('erosion', erosion))):
            expected = weight * expected_losses(
                scores[level].numpy(), labels.numpy(), radius, strides[level], void, kind)
            assert losses[f'loss_{name}_{level}'].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('void', ['ignore', 'class0'])
def test_image_without_labels_costs_nothing_whatever_the_ignore_index(void: str) -> None:
    labels = labels_of(2, 32, 32, 3)
    labels[1] = 255
    scores = {'32x': torch.randn(2, 3, 4, 4)}
    first = {'32x': scores['32x'][:1]}
    loss = DilationErosionLoss(radii=(4, ), void=void)
    alone = loss(first, first, labels[:1], {'32x': 8})
    expected = loss(scores, scores, labels, {'32x': 8})
    labels[labels == 255] = -7
    for name, value in loss(scores, scores, labels, {'32x': 8}, ignore_index=-7).items():
        assert torch.equal(value, expected[name])
        torch.testing.assert_close(value, alone[name] / 2)


def test_lower_precision_is_summed_in_float32() -> None:
    labels = labels_of(1, 128, 128, 3)
    # In float16 the sum over these pixels is infinite.
    scores = {'32x': (60 * torch.randn(1, 3, 64, 64)).half()}
    raised = {'32x': scores['32x'].float()}
    loss = DilationErosionLoss(radii=(4, ))
    expected = loss(raised, raised, labels, {'32x': 2})
    for name, value in loss(scores, scores, labels, {'32x': 2}).items():
        assert value.dtype == torch.float32 and value.isfinite()
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize(('options', 'message'), [
    (dict(radii=[3], footprint='octagon'), 'radius of the octagon .*4.*3'),
    (dict(void='class1'), "void .*ignore.*class0.*'class1'"),
])
def test_refuses_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DilationErosionLoss(**options)
