# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Large scores, constant maps, half precision, ties, and values that are no numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_lrr.models.decode_heads import LRRHead
from mmseg_lrr.models.layers import BoundaryMask
from mmseg_lrr.models.losses import DilationErosionLoss, LevelCrossEntropyLoss
from mmseg_lrr.models.post_processing import DenseCRF
from mmseg_lrr.models.segmentors.restore import log_probabilities, set_prediction, softmax

CLASSES = 3
CHANNELS = (3, 4, 5, 6)

#: Scores at the edges of what a network gives, (2, CLASSES, 8, 8).
SCORES = {
    '1e4': torch.full((2, CLASSES, 8, 8), 1e4),
    '-1e4': torch.full((2, CLASSES, 8, 8), -1e4),
    '+-1e4': 1e4 * torch.where(torch.arange(2 * CLASSES * 64) % 5 > 1, 1., -1.).view(2, -1, 8, 8),
    'one class at 1e4': 1e4 * nn.functional.one_hot(
        torch.arange(128).view(2, 8, 8) % CLASSES, CLASSES).permute(0, 3, 1, 2).float(),
    'constant': torch.zeros(2, CLASSES, 8, 8),
    'tied': torch.tensor([1., 1., -2.]).view(1, 3, 1, 1).expand(2, 3, 8, 8).contiguous(),
    'tiny': torch.full((2, CLASSES, 8, 8), 1e-40),
}
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LABELS = {
    'mixed': torch.arange(128).view(2, 8, 8) % CLASSES,
    'one class': torch.zeros(2, 8, 8, dtype=torch.int64),
    'one image ignored': torch.stack([torch.full((8, 8), 255), torch.ones(8, 8).long()]),
    'all ignored': torch.full((2, 8, 8), 255),
}


@pytest.mark.parametrize('case', SCORES)
def test_mask_is_in_the_unit_interval(case: str) -> None:
    for dtype in DTYPES:
        scores = SCORES[case].to(dtype).requires_grad_()
        mask = BoundaryMask(window=5)(scores)
        assert mask.dtype == torch.float32
        assert mask.min() >= 0 and mask.max() <= 1
        mask.sum().backward()
        assert torch.isfinite(scores.grad).all()
        if case in ('1e4', '-1e4', 'constant', 'tied', 'tiny'):
            assert not mask.any()
        if case == 'one class at 1e4':
            assert mask.min() == 1


@pytest.mark.parametrize('case', SCORES)
def test_losses_are_finite(case: str) -> None:
    for dtype, (label, labels) in itertools.product(DTYPES, LABELS.items()):
        scores = SCORES[case].to(dtype).requires_grad_()
        branches = DilationErosionLoss(radii=[2])(
            {'32x': scores}, {'32x': scores}, labels, {'32x': 1})
        for value in (LevelCrossEntropyLoss()(scores, labels), *branches.values()):
            assert math.isfinite(value.item()) and value.item() >= 0
            (gradient, ) = torch.autograd.grad(value, scores, retain_graph=True)
            assert torch.isfinite(gradient).all()
            if label == 'all ignored':
                assert value.item() == 0 and not gradient.any()


@pytest.mark.parametrize('case', SCORES)
def test_probabilities_and_their_logarithms_are_finite(case: str) -> None:
    for dtype in DTYPES:
        probabilities = softmax(SCORES[case].to(dtype))
        assert probabilities.dtype == torch.float32
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 8, 8))
        logarithms = log_probabilities(probabilities[0])
        assert torch.isfinite(logarithms).all()
        torch.testing.assert_close(logarithms.exp(), probabilities[0])
    # Nothing known of a pixel, as a clamped overshoot can leave it.
    assert torch.isfinite(log_probabilities(torch.zeros(3, 2, 2))).all()


def test_tied_classes_go_to_the_first() -> None:
    sample = SegDataSample()
    set_prediction(sample, torch.tensor([.2, .4, .4]).view(3, 1, 1).expand(3, 4, 5).contiguous())
    assert (sample.pred_sem_seg.data == 1).all()
    set_prediction(sample, torch.full((3, 4, 5), 1 / 3))
    assert (sample.pred_sem_seg.data == 0).all()


@pytest.mark.parametrize('fill', [0., 1 / 3, 1.])
def test_crf_of_constant_maps_and_images(fill: float) -> None:
    for colour in (0, 255):
        image = np.full((9, 13, 3), colour, np.uint8)
        marginals = DenseCRF()(image, torch.full((3, 9, 13), fill))
        torch.testing.assert_close(marginals, torch.full((3, 9, 13), 1 / 3))


# ------------------------------------------------------------------------------- a whole head


def head() -> LRRHead:
    module = MODELS.build(ConfigDict(
        type='LRRHead', in_channels=CHANNELS, num_classes=CLASSES,
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[8])))
    for level in module.levels.values():
        nn.init.normal_(level.coefficients.weight, std=.1)
    return module


def features(fill: float) -> list[Tensor]:
    """Maps of two 64 x 64 images, fine to coarse."""
    return [fill * torch.rand(2, channels, size, size)
            for channels, size in zip(CHANNELS, (16, 8, 4, 2), strict=True)]


@pytest.mark.parametrize('fill', [0., 1e4, 1e-38])
def test_head_is_finite_on_extreme_features(fill: float) -> None:
    module = head()
    labels = torch.arange(64 * 64).view(1, 64, 64) % CLASSES
    samples = [SegDataSample(gt_sem_seg=PixelData(data=labels)) for _ in range(2)]
    losses = module.loss(features(fill), samples, None)
    total = sum(value for name, value in losses.items() if 'loss' in name)
    total.backward()
    assert all(math.isfinite(value.item()) for value in losses.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters()
               if parameter.grad is not None)
    for mask in module.level_masks(module.forward_levels(features(fill))).values():
        assert mask.min() >= 0 and mask.max() <= 1
