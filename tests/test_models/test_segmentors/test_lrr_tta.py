# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Multi-scale fusion against explicit loops over the augmentations."""

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmseg_lrr.models import DenseCRF, LRRTTAModel

from ... import references
from ...small_segmentors import (
    batch,
    build,
    lrr_config,
    predict,
    random_image,
    stock_config,
    tta_pipeline,
)

IMAGE = random_image(50, 75)
MODULES = {'ours': lrr_config(), 'stock': stock_config(), 'stock with LRRHead': lrr_config(
    type='EncoderDecoder')}


def build_tta(module: dict, **options) -> LRRTTAModel:
    return build(dict(type='LRRTTAModel', module=module, **options))


def network_softmax(module: nn.Module, inputs: Tensor) -> np.ndarray:
    """(C, H, W) at the size of the input, in float64."""
    meta = dict(img_shape=tuple(inputs.shape[2:]), pad_shape=tuple(inputs.shape[2:]))
    with torch.no_grad():
        scores = module.decode_head.predict(module.extract_feat(inputs), [meta], module.test_cfg)
    return references.softmax(scores.double().numpy())[0]


def fuse(module: nn.Module, data: dict, fusion: str) -> np.ndarray:
    """Softmax, cut, unflip, resize, fuse."""
    restored = []
    for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True):
        one = module.data_preprocessor(dict(inputs=inputs, data_samples=samples))
        probabilities = network_softmax(module, one['inputs'])
        left, right, top, bottom = samples[0].padding_size
        height, width = probabilities.shape[1:]
        cut = probabilities[:, top:height - bottom, left:width - right]
        if samples[0].flip:
            cut = cut[:, :, ::-1] if samples[0].flip_direction == 'horizontal' else cut[:, ::-1]
        restored.append(references.resize_bicubic(cut, *samples[0].ori_shape[:2]))
    return {'max': np.maximum.reduce, 'mean': np.mean}[fusion](restored, axis=0)


def renormalised(fused: np.ndarray) -> np.ndarray:
    """Without the negative values of bicubic interpolation, made to sum to one."""
    positive = fused.clip(0)
    return positive / positive.sum(axis=0)


@pytest.mark.parametrize('module, fusion, direction', [
    ('ours', 'max', 'horizontal'), ('ours', 'mean', 'vertical'), ('stock', 'max', 'vertical'),
    ('stock with LRRHead', 'mean', 'horizontal')])
def test_fusion_equals_a_loop(module: str, fusion: str, direction: str) -> None:
    model = build_tta(MODULES[module], fusion=fusion)
    pipeline = tta_pipeline(flips=(0., 1.), direction=direction)
    data = batch(pipeline, IMAGE)
    assert len(data['inputs']) == 6
    assert {tuple(inputs[0].shape[1:]) for inputs in data['inputs']} == {(32, 32), (32, 64),
                                                                         (64, 64)}
    expected = renormalised(fuse(model.module, data, fusion))
    sample = predict(model, pipeline, IMAGE)
    probabilities = sample.seg_logits.data.exp().numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert sample.seg_logits.shape == sample.pred_sem_seg.shape == (50, 75)
    assert torch.equal(sample.seg_logits.data.argmax(0, keepdim=True), sample.pred_sem_seg.data)
    assert sample.ori_shape[:2] == (50, 75)


def test_scales_that_are_sure_of_different_classes_do_not_tie() -> None:
    """Where the softmax is 1, the interpolation's overshoots decide, not the classes' order."""
    model = build_tta(MODULES['ours'])
    with torch.no_grad():
        for level in model.module.decode_head.levels.values():
            level.coefficients.weight.mul_(1000)
    fused = fuse(model.module, batch(tta_pipeline(), IMAGE), 'max')
    ranked = np.sort(fused, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-3
    assert (clear & (ranked[-2] > 1)).sum() > 50
    labels = predict(model, tta_pipeline(), IMAGE).pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(labels[clear], fused.argmax(axis=0)[clear])


def test_images_of_a_batch_do_not_meet() -> None:
    images = [random_image(64, 64, seed) for seed in (1, 2)]
    model = build_tta(lrr_config())
    with torch.no_grad():
        together = model.test_step(batch(tta_pipeline(), *images))
    for sample, image in zip(together, images, strict=True):
        alone = predict(model, tta_pipeline(), image)
        torch.testing.assert_close(sample.seg_logits.data, alone.seg_logits.data)


def test_crf_refines_the_fused_probabilities() -> None:
    crf = dict(iterations=2, bilateral_std_xy=20)
    fused = predict(build_tta(lrr_config()), tta_pipeline(), IMAGE)
    model = build_tta(lrr_config(), crf=dict(type='DenseCRF', **crf))
    sample = predict(model, tta_pipeline(), IMAGE)
    expected = DenseCRF(**crf)(IMAGE[..., ::-1].copy(), fused.seg_logits.data.exp())
    torch.testing.assert_close(sample.seg_logits.data.exp(), expected, rtol=0, atol=1e-5)
    assert torch.equal(sample.pred_sem_seg.data, sample.seg_logits.data.argmax(0, keepdim=True))
    assert (sample.pred_sem_seg.data != fused.pred_sem_seg.data).any()

    model.crf_deferred = True
    later = predict(model, tta_pipeline(), IMAGE)
    assert torch.equal(later.seg_logits.data, fused.seg_logits.data)
    model.apply_crf([later])
    assert torch.equal(later.seg_logits.data, sample.seg_logits.data)


def test_segmentors_own_crf_does_not_run_and_that_is_said(monkeypatch) -> None:
    warnings: list[str] = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'log', lambda level, text: warnings.append(text))
    with_crf = lrr_config(test_cfg=dict(crf=dict(type='DenseCRF')))
    sample = predict(build_tta(with_crf), tta_pipeline(keep=False), IMAGE)
    expected = predict(build_tta(lrr_config()), tta_pipeline(keep=False), IMAGE)
    assert torch.equal(sample.seg_logits.data, expected.seg_logits.data)
    assert any('test_cfg.crf does not run in multi-scale testing' in text for text in warnings)


class _LiveMaps(TorchDispatchMode):
    """Counts the tensors of at least a size that are alive at a time."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__()
        self.num_bytes = num_bytes
        self.seen: dict[int, StorageWeakRef] = {}
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().nbytes() >= self.num_bytes:
                seen = StorageWeakRef(tensor.untyped_storage())
                self.seen[seen.cdata] = seen
        self.most = max(self.most, sum(not seen.expired() for seen in self.seen.values()))
        return out


class _Scores(nn.Module):
    """A segmentor whose scores are random."""

    out_channels = 8

    def __init__(self, **preprocessor) -> None:
        super().__init__()
        self.data_preprocessor = MODELS.build(dict(type='SegDataPreProcessor', **preprocessor))

    def test_step(self, data: dict) -> None:
        raise NotImplementedError

    def inference(self, inputs: Tensor, metas: list[dict]) -> Tensor:
        return torch.randn(len(inputs), self.out_channels, *inputs.shape[2:])


@pytest.mark.parametrize('fusion', ['max', 'mean'])
def test_at_most_two_maps_live_at_a_time(fusion: str) -> None:
    batch(tta_pipeline(), IMAGE)  # sets the toolbox's scope
    model = LRRTTAModel(_Scores(), fusion=fusion)
    image = random_image(64, 96)
    data = batch(tta_pipeline(scales=(1., 1., 1.), flips=(0., 1.)), image)
    with _LiveMaps(_Scores.out_channels * 64 * 96 * 4) as maps:
        (sample, ) = model.test_step(data)
    assert sample.seg_logits.data.shape == (8, 64, 96)
    assert maps.most == 2


class _Colours(_Scores):
    """A segmentor whose scores are the colours."""

    out_channels = 3

    def inference(self, inputs: Tensor, metas: list[dict]) -> Tensor:
        return inputs / 255


def test_padding_of_the_preprocessor_is_cut_off_too() -> None:
    """What it adds lies below and to the right of the pipeline's canvas."""
    pipeline = tta_pipeline(flips=(0., 1.))
    data = batch(pipeline, IMAGE)
    assert any(any(samples[0].padding_size) for samples in data['data_samples'])
    plain = predict(LRRTTAModel(_Colours()), pipeline, IMAGE)
    padded = predict(
        LRRTTAModel(_Colours(pad_val=99, test_cfg=dict(size=(80, 112)))), pipeline, IMAGE)
    assert torch.equal(padded.seg_logits.data, plain.seg_logits.data)


def test_segmentor_keeps_its_own_preprocessor() -> None:
    """The runner hands on the one at the top of the config, whose colours may be others."""
    other = dict(type='SegDataPreProcessor', mean=[1., 2., 3.], std=[1., 1., 1.])
    own = build_tta(lrr_config(), data_preprocessor=other).module.data_preprocessor
    np.testing.assert_allclose(own.mean.flatten(), lrr_config()['data_preprocessor']['mean'])
    without = {name: value for name, value in lrr_config().items() if name != 'data_preprocessor'}
    given = build_tta(without, data_preprocessor=other).module.data_preprocessor
    np.testing.assert_allclose(given.mean.flatten(), other['mean'])


def test_a_single_channel_is_refused() -> None:
    config = stock_config(num_classes=2)
    config['decode_head'].update(out_channels=1, threshold=.3, loss_decode=dict(
        type='CrossEntropyLoss', use_sigmoid=True))
    with pytest.raises(ValueError, match='at least 2 output channels, got 1'):
        build_tta(config)
