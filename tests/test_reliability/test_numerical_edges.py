# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Large scores, constant maps, half precision, ties, and values that are no numbers."""

from __future__ import annotations

import logging
import math
from typing import Any

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

from ..small_segmentors import batch, build, lrr_config, random_image, single_pipeline, tta_pipeline

CLASSES = 3
LEVELS = ('32x', '16x', '8x', '4x')
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
DTYPES = {'float16': torch.float16, 'bfloat16': torch.bfloat16, 'float32': torch.float32}
LABELS = {
    'mixed': torch.arange(128).view(2, 8, 8) % CLASSES,
    'one class': torch.zeros(2, 8, 8, dtype=torch.int64),
    'one image ignored': torch.stack([torch.full((8, 8), 255), torch.ones(8, 8).long()]),
    'all ignored': torch.full((2, 8, 8), 255),
}


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('case', SCORES)
def test_mask_is_in_the_unit_interval(case: str, dtype: str) -> None:
    scores = SCORES[case].to(DTYPES[dtype]).requires_grad_()
    mask = BoundaryMask(window=5)(scores)
    assert mask.dtype == torch.float32
    assert mask.min() >= 0 and mask.max() <= 1
    mask.sum().backward()
    assert torch.isfinite(scores.grad).all()
    if case in ('1e4', '-1e4', 'constant', 'tied', 'tiny'):
        assert not mask.any()
    if case == 'one class at 1e4':
        assert mask.min() == 1


@pytest.mark.parametrize('label', LABELS)
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('case', SCORES)
def test_losses_are_finite(case: str, dtype: str, label: str) -> None:
    scores = SCORES[case].to(DTYPES[dtype]).requires_grad_()
    labels = LABELS[label]
    cross_entropy = LevelCrossEntropyLoss()(scores, labels)
    branches = DilationErosionLoss(radii=[2])(
        {'32x': scores}, {'32x': scores}, labels, {'32x': 1})
    for value in (cross_entropy, *branches.values()):
        assert math.isfinite(value.item()) and value.item() >= 0
        (gradient, ) = torch.autograd.grad(value, scores, retain_graph=True)
        assert torch.isfinite(gradient).all()
        if label == 'all ignored':
            assert value.item() == 0 and not gradient.any()


def test_loss_of_large_scores_is_exact() -> None:
    """Cross entropy of +-1e4 scores by hand: the distance to the largest score."""
    scores = torch.tensor([1e4, -1e4, 0.]).view(1, 3, 1, 1).repeat(1, 1, 1, 3)
    loss = LevelCrossEntropyLoss()(scores, torch.tensor([[[0, 1, 2]]]))
    assert loss.item() == pytest.approx((0 + 2e4 + 1e4) / 4)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('case', SCORES)
def test_probabilities_and_their_logarithms_are_finite(case: str, dtype: str) -> None:
    probabilities = softmax(SCORES[case].to(DTYPES[dtype]))
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 8, 8))
    logarithms = log_probabilities(probabilities[0])
    assert torch.isfinite(logarithms).all()
    torch.testing.assert_close(logarithms.exp(), probabilities[0])


def test_nothing_known_of_a_pixel() -> None:
    """All probabilities 0, as a clamped overshoot can leave them."""
    assert torch.isfinite(log_probabilities(torch.zeros(3, 2, 2))).all()


def test_tied_classes_go_to_the_first() -> None:
    sample = SegDataSample()
    set_prediction(sample, torch.tensor([.2, .4, .4]).view(3, 1, 1).expand(3, 4, 5).contiguous())
    assert (sample.pred_sem_seg.data == 1).all()
    set_prediction(sample, torch.full((3, 4, 5), 1 / 3))
    assert (sample.pred_sem_seg.data == 0).all()


@pytest.mark.parametrize('fill', [0., 1 / 3, 1.])
@pytest.mark.parametrize('colour', [0, 255])
def test_crf_of_constant_maps_and_images(fill: float, colour: int) -> None:
    image = np.full((9, 13, 3), colour, np.uint8)
    marginals = DenseCRF()(image, torch.full((3, 9, 13), fill))
    torch.testing.assert_close(marginals, torch.full((3, 9, 13), 1 / 3))


def test_crf_of_certain_maps() -> None:
    """Probabilities of exactly 0 and 1, whose logarithms are infinite."""
    probabilities = torch.zeros(3, 9, 13)
    probabilities[1] = 1
    marginals = DenseCRF()(random_image(9, 13), probabilities)
    assert torch.isfinite(marginals).all()
    assert (marginals.argmax(0) == 1).all()


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_crf_refuses_what_is_no_number(value: float) -> None:
    probabilities = torch.full((3, 9, 13), 1 / 3)
    probabilities[1, 2, 3] = value
    with pytest.raises(ValueError, match='must be probabilities'):
        DenseCRF()(random_image(9, 13), probabilities)


# ------------------------------------------------------------------------------- a whole head


def head(**options: Any) -> LRRHead:
    module = MODELS.build(ConfigDict(
        type='LRRHead', in_channels=CHANNELS, num_classes=CLASSES,
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[8]), **options))
    for parameter in module.coefficients.parameters():
        nn.init.normal_(parameter, std=.1)
    return module


def features(fill: float = 1., dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Maps of two 64 x 64 images, fine to coarse."""
    return [fill * torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0)
                              ).to(dtype)
            for channels, size in zip(CHANNELS, (16, 8, 4, 2), strict=True)]


def samples() -> list[SegDataSample]:
    labels = torch.arange(64 * 64).view(1, 64, 64) % CLASSES
    return [SegDataSample(gt_sem_seg=PixelData(data=labels),
                          metainfo=dict(img_path=f'images/{name}.jpg')) for name in 'ab']


@pytest.mark.parametrize('boundary_mask', [dict(type='BoundaryMask'), None])
@pytest.mark.parametrize('fill', [0., 1., 1e4, -1e4, 1e-38])
def test_head_is_finite_on_extreme_features(fill: float, boundary_mask: dict | None) -> None:
    module = head(boundary_mask=boundary_mask)
    losses = module.loss(features(fill), samples(), None)
    total = sum(value for name, value in losses.items() if 'loss' in name)
    total.backward()
    assert all(math.isfinite(value.item()) for value in losses.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters()
               if parameter.grad is not None)
    for mask in module.level_masks(module.forward_levels(features(fill))).values():
        assert mask.min() >= 0 and mask.max() <= 1


# ------------------------------------------------------------------------------- found and named


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('index', range(4))
def test_a_bad_feature_map_is_named(index: int, value: float) -> None:
    maps = features()
    maps[index][1, 0, 0, 0] = value
    level = LEVELS[::-1][index]
    with pytest.raises(FloatingPointError) as raised:
        head().loss(maps, samples(), None)
    text = str(raised.value)
    assert f'loss_ce_{level} is ' in text
    assert f'the feature map of level {level} is not finite for images/b.jpg' in text
    assert text.count('feature map') == 1
    # Coarser levels do not see finer maps.
    assert not any(f'loss_ce_{other} ' in text for other in LEVELS[:LEVELS.index(level)])
    assert 'LRRHead' not in text


@pytest.mark.parametrize('name', [
    *(f'coefficients.{level}.weight' for level in LEVELS), 'coefficients.8x.bias',
    'reconstructions.16x.bases', 'dilation.coefficients.32x.weight', 'erosion.bias.32x'])
def test_a_bad_parameter_is_named(name: str) -> None:
    module = head()
    with torch.no_grad():
        dict([*module.named_parameters(), *module.named_buffers()])[name][0] = math.nan
    with pytest.raises(FloatingPointError, match=f'not finite in LRRHead: {name}$') as raised:
        module.loss(features(), samples(), None)
    assert 'feature map' not in str(raised.value)


def segmentor(kind: str = 'LRREncoderDecoder') -> nn.Module:
    return build(lrr_config(type=kind, head=dict(dilation_erosion=None)))


def test_a_bad_parameter_of_the_backbone_is_named_in_training() -> None:
    model = segmentor().train()
    with torch.no_grad():
        model.backbone.layer3[0].conv1.weight[0] = math.nan
    with pytest.raises(FloatingPointError) as raised:
        model.loss(torch.zeros(2, 3, 64, 64), samples())
    text = str(raised.value)
    assert 'the feature map of level 16x is not finite for images/a.jpg, images/b.jpg' in text
    assert 'the feature map of level 8x' not in text
    assert 'not finite in ResNet: layer3.0.conv1.weight' in text


def test_fcn_names_its_maps_too() -> None:
    module = MODELS.build(
        ConfigDict(type='FCNSkipHead', in_channels=[4, 5, 6], num_classes=CLASSES))
    for score in module.scores.values():
        nn.init.normal_(score.weight)
    maps = features()[1:]
    labels = [SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 64, 64, dtype=torch.int64)))
              for _ in range(2)]
    assert math.isfinite(module.loss(maps, labels, None)['loss_ce'].item())
    maps[1][0, 0] = math.nan
    with pytest.raises(FloatingPointError, match='feature map of level 16x .* for image 0$'):
        module.loss(maps, labels, None)


@pytest.mark.parametrize('tta', [False, True])
def test_a_bad_parameter_is_named_in_testing(tta: bool) -> None:
    model = segmentor()
    with torch.no_grad():
        model.decode_head.levels['8x'].coefficients.weight[0] = math.nan
    pipeline = single_pipeline()
    if tta:
        model = build(dict(type='LRRTTAModel', module=lrr_config()))
        with torch.no_grad():
            model.module.decode_head.levels['8x'].coefficients.weight[0] = math.nan
        pipeline = tta_pipeline()
    with pytest.raises(FloatingPointError) as raised:
        model.test_step(batch(pipeline, random_image(40, 50)))
    text = str(raised.value)
    assert 'the prediction of an image in memory is not finite' in text
    assert 'not finite in LRREncoderDecoder: decode_head.coefficients.8x.weight' in text


def test_the_level_is_named_in_testing() -> None:
    model = build(lrr_config(test_cfg=dict(level_outputs=True)))
    with torch.no_grad():
        model.decode_head.levels['8x'].coefficients.weight[0] = math.nan
    with pytest.raises(FloatingPointError, match='; level 8x, 4x$'):
        model.test_step(batch(single_pipeline(), random_image(40, 50)))


# ------------------------------------------------------------------------------- half precision


def test_float16_overflow_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The gradient scaler leaves the step out and the training goes on."""
    module = head().half()
    messages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmseg_lrr.models.non_finite.print_log',
                      lambda text, **options: messages.append((text, options['level'])))
        losses = module.loss(features(6e4, torch.float16), samples(), None)
    assert not all(torch.isfinite(value) for value in losses.values())
    ((text, level), ) = messages
    assert level == logging.WARNING
    assert 'the score map of level 32x is not finite' in text and '(in float16)' in text
    assert 'feature map' not in text


def test_float16_overflow_leaves_out_one_step() -> None:
    """With the toolbox's gradient scaler the weights stay as they were."""
    from torch.amp import GradScaler
    module = head().float()
    scaler = GradScaler('cpu', init_scale=2.**8)
    optimiser = torch.optim.SGD(module.parameters(), lr=.1)
    before = {name: value.clone() for name, value in module.named_parameters()}
    with torch.autocast('cpu', torch.float16), pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmseg_lrr.models.non_finite.print_log', lambda *args, **options: None)
        losses = module.loss(features(6e4, torch.float16), samples(), None)
    total = sum(value for name, value in losses.items() if 'loss' in name)
    assert not torch.isfinite(total)
    scaler.scale(total).backward()
    scaler.step(optimiser)
    scaler.update()
    assert scaler.get_scale() < 2.**8
    for name, value in module.named_parameters():
        assert torch.equal(value, before[name]), name


def test_bfloat16_overflow_is_an_error() -> None:
    maps = features(dtype=torch.bfloat16)
    maps[3][:] = 3e38
    with pytest.raises(FloatingPointError, match='the score map of level 32x is not finite'):
        head().bfloat16().loss(maps, samples(), None)


def test_a_good_batch_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the losses are finite, neither maps nor parameters are gone through."""
    def searched(*args: object) -> None:
        raise AssertionError('searched')

    monkeypatch.setattr('mmseg_lrr.models.non_finite.not_finite', searched)
    losses = head().loss(features(), samples(), None)
    assert math.isfinite(losses['loss_ce_4x'].item())
