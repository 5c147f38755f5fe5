# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from references import crop, resize_bilinear, upsample2x_zeros
from small_segmentors import lrr_config
from torch import nn

CHANNELS = {8: 3, 16: 4, 32: 5}


def build(maps: tuple[int, ...] = (8, 16, 32), **options) -> nn.Module:
    return MODELS.build(dict(
        type='FCNSkipHead', in_channels=[CHANNELS[stride] for stride in maps], num_classes=4,
        **options))


def maps(size: tuple[int, int], strides: tuple[int, ...]) -> list[torch.Tensor]:
    """One map a stride, sizes rounded up as by layers of stride 2."""
    return [
        torch.randn(2, CHANNELS[stride], *(-(-side // stride) for side in size))
        for stride in strides
    ]


def randomise(head: nn.Module) -> None:
    for parameter in head.scores.parameters():
        nn.init.normal_(parameter)


def expected_scores(head: nn.Module, features: list[torch.Tensor]) -> np.ndarray:
    """The sums of the paper, in float64 NumPy, from coarse to fine."""
    total = None
    for level, feature in zip(head.levels, reversed(features), strict=True):
        score = head.scores[level]
        weight, bias = (item.detach().double().numpy() for item in (score.weight, score.bias))
        values = np.einsum('oi,nihw->nohw', weight[:, :, 0, 0], feature.double().numpy())
        values += bias[:, None, None]
        if total is not None:
            values += crop(upsample2x_zeros(total), *values.shape[2:])
        total = values
    height, width = (side * head.strides[0] for side in total.shape[2:])
    return resize_bilinear(total, height, width)


@pytest.mark.parametrize('strides, size', [
    ((32, ), (37, 70)), ((16, 32), (64, 96)), ((8, 16, 32), (37, 70))])
def test_scores_are_the_papers_sums(strides: tuple, size: tuple) -> None:
    head = build(strides)
    randomise(head)
    features = maps(size, strides)
    found = head(features).detach().numpy()
    expected = expected_scores(head, features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert found.shape[2] >= size[0] and found.shape[3] >= size[1]
    # Tested, they are cut to what the network saw.
    meta = dict(img_shape=(30, 50), pad_shape=size, ori_shape=(99, 99))
    np.testing.assert_array_equal(
        head.predict(features, [meta], {}).detach(), found[:, :, :size[0], :size[1]])


def test_new_maps_add_nothing_at_first() -> None:
    coarse, fine = build((32, )), build((8, 16, 32))
    randomise(coarse)
    missing = fine.load_state_dict(coarse.state_dict(), strict=False)
    assert not missing.unexpected_keys
    features = maps((128, 128), (8, 16, 32))
    start = coarse.scores['32x'](features[-1]).detach().double().numpy()
    expected = resize_bilinear(upsample2x_zeros(upsample2x_zeros(start)), 128, 128)
    np.testing.assert_allclose(fine(features).detach(), expected, rtol=1e-4, atol=1e-4)


def test_skips_are_pooled_as_vggs() -> None:
    head = build((8, 16, 32), pool_skips=True)
    randomise(head)
    before = [torch.randn(1, CHANNELS[8], 17, 9), torch.randn(1, CHANNELS[16], 9, 5),
              torch.randn(1, CHANNELS[32], 3, 2)]
    pooled = []
    for feature in before[:2]:
        sides = [range(0, side, 2) for side in feature.shape[2:]]
        pooled.append(torch.stack([torch.stack([
            feature[:, :, row:row + 2, column:column + 2].amax(dim=(2, 3)) for column in sides[1]],
            dim=-1) for row in sides[0]], dim=-2))
    expected = expected_scores(head, [*pooled, before[2]])
    np.testing.assert_allclose(head(before).detach(), expected, rtol=1e-4, atol=1e-4)


def test_trains_and_predicts_in_a_segmentor() -> None:
    config = lrr_config(4)
    config['backbone']['out_indices'] = (1, 2, 3)
    config['decode_head'] = dict(
        type='FCNSkipHead', in_channels=[16, 32, 64], num_classes=4,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0))
    model = MODELS.build(ConfigDict(config))
    inputs = torch.randn(2, 3, 50, 70)
    meta = dict(img_shape=(50, 70), ori_shape=(50, 70), pad_shape=(50, 70))
    samples = [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(
        data=torch.randint(0, 4, (1, 50, 70)))) for _ in range(2)]
    losses = model.loss(inputs, samples)
    # All scores are zero at the start: every class is equally likely.
    assert losses['decode.loss_ce'].item() == pytest.approx(np.log(4), rel=1e-5)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for level, score in model.decode_head.scores.items():
        assert score.weight.grad.abs().sum() > 0, level
    with torch.no_grad():
        results = model.eval().predict(inputs, samples)
    assert results[0].pred_sem_seg.data.shape == (1, 50, 70)


def test_strides_must_double() -> None:
    with pytest.raises(ValueError, match=r'strides must double .* got \(8, 16, 64\)'):
        build(strides=(8, 16, 64))
