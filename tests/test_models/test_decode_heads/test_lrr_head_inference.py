# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Options that spare work: stopping at a level, activation checkpointing."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_lrr.models import LRRHead

CHANNELS = (3, 4, 5, 6)


def build(**options) -> LRRHead:
    torch.manual_seed(0)
    head = LRRHead(in_channels=CHANNELS, num_classes=3, num_bases=2, **options)
    for conv in [level.coefficients for level in head.levels.values()]:
        torch.nn.init.normal_(conv.weight, std=0.3)
        torch.nn.init.normal_(conv.bias, std=0.3)
    return head


def features(batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = ((33, 48), (17, 24), (9, 12), (5, 6))
    return [
        torch.rand(batch, channels, *size, generator=generator)
        for channels, size in zip(CHANNELS, sizes, strict=True)
    ]


@pytest.mark.parametrize('level, count', [('32x', 1), ('8x', 3), ('4x', 4)])
def test_stopping_at_a_level_computes_nothing_finer(level, count):
    head = build()
    computed = []
    for name, one in head.levels.items():
        one.register_forward_hook(lambda *_, name=name: computed.append(name))
    whole = build().forward_levels(features())
    scores = head.forward_levels(features(), last_level=level)
    assert list(scores) == computed == list(head.levels)[:count]
    for name in scores:
        assert torch.equal(scores[name], whole[name])


@pytest.mark.parametrize('mask', [dict(type='BoundaryMask'), None])
@pytest.mark.parametrize('level', ['32x', '8x', '4x'])
def test_stopping_at_a_level_gives_that_levels_own_output(level, mask):
    """What the whole network says at the level, so that its mIoU is the stopped network's."""
    head = build(boundary_mask=mask)
    whole = head.level_scores(features())
    stopped = head.level_scores(features(), test_cfg=dict(last_level=level))
    assert list(stopped) == list(head.levels)[:list(head.levels).index(level) + 1]
    for name, (scores, stride) in stopped.items():
        assert torch.equal(scores, whole[name][0]) and stride == whole[name][1]
    (only, (scores, stride)), = head.level_scores(features(), False,
                                                  dict(last_level=level)).items()
    assert only == level and torch.equal(scores, whole[level][0])
    predicted = head.predict(features(), [dict(img_shape=(130, 190))], dict(last_level=level))
    expected = F.interpolate(scores, scale_factor=stride, mode='bilinear')[:, :, :130, :190]
    torch.testing.assert_close(predicted, expected)


def test_masks_of_the_levels_that_were_computed():
    head = build()
    whole = head.level_masks(head.forward_levels(features()))
    assert list(whole) == ['16x', '8x', '4x']
    for count, level in enumerate(head.levels):
        masks = head.level_masks(head.forward_levels(features(), last_level=level))
        assert list(masks) == list(head.levels)[1:count + 1]
        for name, mask in masks.items():
            assert torch.equal(mask, whole[name])


def test_checkpointing_gives_the_same_losses_and_gradients():
    labels = torch.randint(0, 3, (2, 1, 130, 190), generator=torch.Generator().manual_seed(2))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    gradients = []
    for with_cp in (False, True):
        head = build(with_cp=with_cp).train()
        losses = head.loss(features(), samples, None)
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        gradients.append({name: p.grad for name, p in head.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)
        assert gradient.abs().sum() > 0
