# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""LRR on top of another head: its numbers, in mmseg's cascade and in this package's."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_lrr.evaluation.image_areas import predictions
from mmseg_lrr.models.decode_heads.checkpoint_filter import cascade_keys
from mmseg_lrr.ops.resampling import fit_scores

from ... import references
from ...small_segmentors import (
    build,
    lrr_config,
    predict,
    random_image,
    single_pipeline,
    stock_config,
    tta_pipeline,
)
from .test_lrr_head import assert_levels, detail, random_head
from .test_lrr_head_segmentor import batch as training_batch

CHANNELS = (3, 4, 5)


def feature_maps(size: tuple[int, int]) -> list[Tensor]:
    return [torch.randn(2, channels, -(-size[0] // stride), -(-size[1] // stride),
                        dtype=torch.float64)
            for channels, stride in zip(CHANNELS, (4, 8, 16), strict=True)]


@pytest.mark.parametrize('border', ['zeros', 'replicate'])
@pytest.mark.parametrize('factor', [4, 1, .5])
def test_pyramid_from_coarse_scores(factor: float, border: str) -> None:
    """Scores of the stride 16, 4 and 2 start a level whose own have stride 4."""
    head = random_head(type='LRRRefineHead', in_channels=CHANNELS, upsample_border=border)
    assert list(head.levels) == ['16x', '8x', '4x'] and head.dilation is None
    features = feature_maps((32, 48))
    coarse = torch.randn(2, 3, int(8 / factor), int(12 / factor), dtype=torch.float64)
    start = references.resize_bilinear(coarse.numpy(), 8, 12)
    details = [detail(head, '', level, feature)
               for level, feature in zip(head.levels, features[::-1], strict=True)]
    _, *expected = references.pyramid([start, *details], windows=[9] * 4, border=border,
                                      steps=[1, 1, 2, 2])
    with torch.no_grad():
        actual = head.forward_levels(features, coarse)
        assert_levels(actual, dict(zip(head.levels, expected, strict=True)), 1e-12)
        assert torch.equal(head(features, coarse), actual['4x'])
        judged = head.level_scores(features, coarse)
        assert list(judged) == ['coarse', *head.levels]
        np.testing.assert_allclose(judged['coarse'][0], start, atol=1e-12)
        first = head.level_masks({'coarse': judged['coarse'][0], **actual})['16x']
        np.testing.assert_allclose(first, references.boundary_mask(start, 9), atol=1e-12)
        assert list(head.forward_levels(features, coarse, last_level='8x')) == ['16x', '8x']


@pytest.mark.parametrize('size', [(32, 48), (33, 65), (90, 31)])
def test_without_detail_the_coarse_prediction_is_left(size: tuple[int, int]) -> None:
    head = MODELS.build(dict(type='LRRRefineHead', in_channels=CHANNELS, num_classes=3)).double()
    coarse = torch.randn(2, 3, -(-size[0] // 8), -(-size[1] // 8), dtype=torch.float64)
    scores = head.predict(feature_maps(size), coarse, [dict(img_shape=size)], None)
    expected = coarse.numpy()
    for _ in range(3):
        expected = references.upsample2x_replicate(expected)
    expected = expected[:, :, :size[0], :size[1]]
    assert scores.shape[2:] == size
    # Beyond the image the edge is repeated before the last steps, not after them.
    inside = (..., slice(0, size[0] // 16 * 16 - 4), slice(0, size[1] // 16 * 16 - 4))
    np.testing.assert_allclose(scores.detach()[inside], expected[inside], atol=1e-12)


def test_gating_leaves_out_classes_of_the_first_level_too() -> None:
    head = random_head(type='LRRRefineHead', in_channels=CHANNELS, upsample_border='replicate')
    features = feature_maps((64, 64))
    coarse = torch.full((2, 3, 2, 2), -4., dtype=torch.float64)
    coarse[:, 0, 0] = coarse[:, 1, 1] = 4  # two classes have a half of the image each
    with torch.no_grad():
        dense = head.forward_levels(features, coarse)
        gated = head.forward_levels(features, coarse, class_threshold=.1)
    for level, scores in gated.items():
        torch.testing.assert_close(scores.softmax(1), dense[level].softmax(1), rtol=0, atol=.01)
    # The third has nothing but the coarse scores.
    assert (gated['16x'][:, 2] == -4).all() and not (dense['16x'][:, 2] == -4).all()


@pytest.mark.parametrize(('before', 'size', 'factor'), [
    ((2, 3), (12, 20), 8), ((64, 96), (12, 20), .25), ((9, 17), (12, 20), 1)])
def test_scores_that_are_rounded_up_are_not_stretched(
    before: tuple[int, int], size: tuple[int, int], factor: float
) -> None:
    """Of 33x65 pixels: stride 32, stride 1 in cells of 32, stride 4; to stride 4 in cells of 16."""
    scores = torch.randn(1, 2, *before, dtype=torch.float64)
    whole = references.resize_bilinear(
        scores.numpy(), *(int(side * factor) for side in before))
    short = [max(wanted - there, 0) for wanted, there in zip(size, whole.shape[2:], strict=True)]
    expected = np.pad(whole, [(0, 0), (0, 0), (0, short[0]), (0, short[1])], 'edge')
    np.testing.assert_allclose(
        fit_scores(scores, size, 8), expected[..., :size[0], :size[1]], atol=1e-12)
    np.testing.assert_allclose(fit_scores(scores, (31, 40), 1),
                               references.resize_bilinear(scores.numpy(), 31, 40), atol=1e-12)


def test_bad_coarse_scores_are_refused() -> None:
    head = MODELS.build(dict(type='LRRRefineHead', in_channels=CHANNELS[1:], num_classes=3,
                             strides=[8, 16])).double()
    features = feature_maps((32, 48))
    head.in_index = [1, 2]
    with pytest.raises(ValueError, match=r'finer than those of the finest level, \(16, 24\)'):
        head(features, torch.zeros(2, 3, 32, 48, dtype=torch.float64))
    with pytest.raises(ValueError, match='num_classes=3, but .* 4 classes'):
        head(features, torch.zeros(2, 4, 4, 6, dtype=torch.float64))
    heads = [dict(stock_config()['decode_head'], num_classes=4),
             dict(type='LRRRefineHead', in_channels=[8, 16], num_classes=3)]
    with pytest.raises(ValueError, match=r'must be the same .* \[4, 3\]'):
        MODELS.build(ConfigDict(cascade_config(decode_head=heads)))


# ------------------------------------------------------------------------------- the segmentors


def cascade_config(**options) -> dict:
    """A small FCN, and LRR of two levels that refines it."""
    coarse = stock_config()['decode_head']
    return {
        **lrr_config(type='LRRCascadeEncoderDecoder'),
        'num_stages': 2,
        'decode_head': [coarse, dict(
            type='LRRRefineHead', in_channels=[8, 16], num_classes=3, num_bases=2)],
        **options,
    }


def training_losses(model: nn.Module) -> dict[str, Tensor]:
    data = training_batch(2, 64, 96)
    return model.loss(torch.stack(data['inputs']), data['data_samples'])


@pytest.mark.parametrize('kind', ['CascadeEncoderDecoder', 'LRRCascadeEncoderDecoder'])
def test_both_cascades(kind: str) -> None:
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(cascade_config(type=kind)))
    losses = training_losses(model.train())
    assert list(losses) == [
        'decode_0.loss_ce', 'decode_0.acc_seg', 'decode_1.loss_ce_8x', 'decode_1.loss_ce_4x',
        'decode_1.acc_seg']
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    sample = predict(model.eval(), single_pipeline(), random_image(50, 70))
    assert sample.pred_sem_seg.shape == (50, 70)


def test_levels_are_tested_after_the_coarse_prediction() -> None:
    model = build(cascade_config(test_cfg=dict(mode='whole', level_outputs=True)))
    sample = predict(model, single_pipeline(), random_image(50, 70))
    assert list(predictions(sample.to_dict())) == ['coarse', '8x', '4x', 'final']
    assert torch.equal(sample.pred_sem_seg_4x.data, sample.pred_sem_seg.data)
    assert not torch.equal(sample.pred_sem_seg_coarse.data, sample.pred_sem_seg.data)
    several = MODELS.build(dict(type='LRRTTAModel', module=model))
    assert predict(several, tta_pipeline(), random_image(50, 70)).pred_sem_seg.shape == (50, 70)


def test_a_frozen_network_stays_as_it_is() -> None:
    torch.manual_seed(0)
    auxiliary = dict(stock_config()['decode_head'], in_channels=32, in_index=2)
    model = MODELS.build(ConfigDict(cascade_config(frozen_stages=1, auxiliary_head=auxiliary)))
    before = copy.deepcopy(model.state_dict())
    losses = training_losses(model.train())
    assert all(name.startswith('decode_1.') for name in losses)
    optimizer = torch.optim.SGD(model.parameters(), lr=1., weight_decay=.1)
    model.parse_losses(losses)[0].backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert changed == trained and all(name.startswith('decode_head.1.') for name in trained)
    modes = {name: module.training for name, module in model.named_modules()}
    assert not modes['backbone.bn1'] and not modes['decode_head.0'] and modes['decode_head.1']
    with pytest.raises(ValueError, match='frozen_stages must be an integer from 0 to 1, got 2'):
        MODELS.build(ConfigDict(cascade_config(frozen_stages=2)))


def test_the_coarse_networks_own_checkpoint_is_loaded() -> None:
    keys = dict.fromkeys(['backbone.a', 'decode_head.conv.b', 'auxiliary_head.c'])
    assert list(cascade_keys(keys)) == ['backbone.a', 'decode_head.0.conv.b', 'auxiliary_head.c']
    inner = {f'module.{name}': None for name in keys}
    assert list(cascade_keys(inner, 'module.'))[1] == 'module.decode_head.0.conv.b'
    assert cascade_keys(cascade_keys(keys)) == cascade_keys(keys)

    coarse = MODELS.build(ConfigDict(stock_config()))
    model = MODELS.build(ConfigDict(cascade_config()))
    report = model.load_state_dict(coarse.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert all(name.startswith('decode_head.1.') for name in report.missing_keys)
    state = model.state_dict()
    assert torch.equal(state['decode_head.0.conv_seg.weight'], coarse.decode_head.conv_seg.weight)
    # A cascade's own checkpoint comes back as it is.
    again = MODELS.build(ConfigDict(cascade_config()))
    again.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
