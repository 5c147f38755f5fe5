# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Single passes: every level from scores to the original image, against NumPy and loops."""

import numpy as np
import pytest
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_lrr.models import DenseCRF, LRREncoderDecoder

from ... import references
from ...small_segmentors import (
    batch,
    build,
    lrr_config,
    predict,
    random_image,
    single_pipeline,
    stock_config,
)

LEVELS = ('32x', '16x', '8x', '4x')
STRIDES = dict(zip(LEVELS, (8, 4, 2, 1), strict=True))
CRF = dict(type='DenseCRF', iterations=2, bilateral_std_xy=20)


def level_probabilities(model: LRREncoderDecoder, inputs: Tensor, masked: bool) -> dict:
    """By level, softmax of the map that a level is judged by, and its stride."""
    with torch.no_grad():
        scores = model.decode_head.forward_levels(model.extract_feat(inputs))
    scores = {level: item.double().numpy() for level, item in scores.items()}
    maps = {}
    for level, finer in zip(LEVELS, (*LEVELS[1:], None), strict=True):
        item, stride = scores[level], STRIDES[level]
        if masked and finer:
            # The map that the finer level's mask is made of, and of the finer map's size.
            item = references.crop(references.upsample2x_zeros(item), *scores[finer].shape[2:])
            stride //= 2
        maps[level] = references.softmax(item), stride
    return maps


def on_canvas(maps: dict, height: int, width: int) -> dict[str, np.ndarray]:
    """Softmax maps, each at its own resolution, resized to the canvas."""
    return {
        level: references.resize_bicubic(
            probabilities, probabilities.shape[2] * stride, probabilities.shape[3] * stride
        )[:, :, :height, :width]
        for level, (probabilities, stride) in maps.items()
    }


def in_original(probabilities: np.ndarray, sample: SegDataSample) -> np.ndarray:
    """(C, h, w) on the canvas: cut, resized to the original size, and made to sum to one."""
    left, right, top, bottom = sample.padding_size
    height, width = probabilities.shape[1:]
    cut = probabilities[:, top:height - bottom, left:width - right]
    restored = references.resize_bicubic(cut, *sample.ori_shape[:2]).clip(0)
    return restored / restored.sum(axis=0)


def assert_labels(actual: Tensor, probabilities: np.ndarray) -> None:
    """Labels are the most probable classes wherever that is not a matter of rounding."""
    assert actual.shape == (1, *probabilities.shape[1:])
    ranked = np.sort(probabilities, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(actual[0].numpy()[clear], probabilities.argmax(axis=0)[clear])


@pytest.mark.parametrize('masked', [True, False])
def test_every_level_equals_the_reference(masked: bool) -> None:
    head = {} if masked else dict(boundary_mask=None)
    model = build(lrr_config(head=head, test_cfg=dict(level_outputs=True)))
    image = random_image(50, 75)
    data = batch(single_pipeline(), image)
    # 43 x 64 pixels of a canvas of 64 x 64.
    assert data['data_samples'][0].padding_size == [0, 0, 11, 10]
    with torch.no_grad():
        inputs = model.data_preprocessor(data)['inputs']
    sample = predict(model, single_pipeline(), image)

    maps = on_canvas(level_probabilities(model, inputs, masked), 64, 64)
    outputs = {level: in_original(item[0], sample) for level, item in maps.items()}
    assert sorted(sample.keys()) == sorted(
        ['seg_logits', 'pred_sem_seg', *(f'pred_sem_seg_{level}' for level in LEVELS)])
    for level, probabilities in outputs.items():
        assert_labels(sample.get(f'pred_sem_seg_{level}').data, probabilities)
    # Levels that were the same would prove nothing.
    found = [outputs[level].argmax(axis=0) for level in LEVELS]
    assert all((a != b).mean() > 0.01 for a, b in zip(found, found[1:], strict=False))
    assert set(np.unique(found[-1])) == {0, 1, 2}

    np.testing.assert_allclose(sample.seg_logits.data.exp().numpy(), outputs['4x'], atol=1e-5)
    assert_labels(sample.pred_sem_seg.data, outputs['4x'])
    assert torch.equal(sample.seg_logits.data.argmax(0, keepdim=True), sample.pred_sem_seg.data)
    torch.testing.assert_close(
        sample.seg_logits.data.exp().sum(0), torch.ones(50, 75), rtol=0, atol=1e-5)


def test_inputs_that_no_stride_divides_are_cropped_never_stretched() -> None:
    model = build(lrr_config())
    inputs = torch.randn(1, 3, 45, 70)
    expected = on_canvas(level_probabilities(model, inputs, True), 45, 70)
    with torch.no_grad():
        levels = model.inference_levels(inputs)
    assert list(levels) == list(LEVELS)
    for level, probabilities in levels.items():
        np.testing.assert_allclose(
            probabilities.numpy(), expected[level], atol=1e-5, err_msg=level)


def test_without_samples_the_input_is_the_original() -> None:
    model = build(lrr_config())
    inputs = torch.randn(2, 3, 32, 64)
    with torch.no_grad():
        samples = model.predict(inputs)
        expected = model.inference(inputs, [])
    assert [sample.pred_sem_seg.shape for sample in samples] == [(32, 64)] * 2
    for sample, scores in zip(samples, expected, strict=True):
        assert torch.equal(sample.seg_logits.data, scores)
        assert sorted(sample.keys()) == ['pred_sem_seg', 'seg_logits']


def toolbox_starts(length: int, window: int, step: int) -> list[int]:
    """Where the toolbox's slide mode puts its windows."""
    ends = [min(i * step + window, length)
            for i in range(max(length - window + step - 1, 0) // step + 1)]
    return [max(end - window, 0) for end in ends]


@pytest.mark.parametrize('height, width, window, step, given', [
    (32, 64, (64, 96), (32, 40), ((64, 96), (32, 40))), (70, 101, (64, 64), (32, 32), (64, 32))])
def test_slide_averages_probabilities_of_windows(
        height: int, width: int, window: tuple, step: tuple, given: tuple) -> None:
    model = build(lrr_config())
    slide = build(lrr_config(test_cfg=dict(mode='slide', crop_size=given[0], stride=given[1])))
    inputs = torch.randn(1, 3, height, width)
    total = {level: np.zeros((3, height, width)) for level in LEVELS}
    count = np.zeros((height, width))
    with torch.no_grad():
        levels = slide.inference_levels(inputs)
        for y in toolbox_starts(height, window[0], step[0]):
            for x in toolbox_starts(width, window[1], step[1]):
                area = (..., slice(y, y + window[0]), slice(x, x + window[1]))
                count[area] += 1
                for level, item in model.inference_levels(inputs[area]).items():
                    total[level][area] += item[0].double().numpy()
    assert count.min() > 0
    for level in LEVELS:
        np.testing.assert_allclose(levels[level][0].numpy(), total[level] / count, atol=1e-6)


HALVES = dict(mode='halves')


@pytest.mark.parametrize('masked', [True, False])
def test_halves_are_merged_by_the_maximum_at_each_levels_resolution(masked: bool) -> None:
    model = build(lrr_config(
        head={} if masked else dict(boundary_mask=None), test_cfg=HALVES))
    inputs = torch.randn(1, 3, 32, 512)
    parts = [
        (0, level_probabilities(model, inputs[..., :320], masked)),
        (192, level_probabilities(model, inputs[..., 192:], masked)),
    ]
    merged = {}
    for level in LEVELS:
        _, stride = parts[0][1][level]
        out = np.zeros((1, 3, 32 // stride, 512 // stride))
        for column in range(512 // stride):
            candidates = []
            for left, maps in parts:
                centre = (column + .5) * stride
                # Of 512 columns, 160 * 512 / 2048 = 40 on the inner side of each are dropped.
                if (left == 0 and centre < 280) or (left == 192 and centre > 232):
                    candidates.append(maps[level][0][..., column - left // stride])
            assert len(candidates) == 1 + (232 < centre < 280)
            out[..., column] = np.maximum.reduce(candidates)
        merged[level] = out, stride
    expected = on_canvas(merged, 32, 512)
    with torch.no_grad():
        levels = model.inference_levels(inputs)
    for level, probabilities in levels.items():
        np.testing.assert_allclose(
            probabilities.numpy(), expected[level], atol=1e-5, err_msg=level)


def test_halves_refuse_other_widths() -> None:
    model = build(lrr_config(test_cfg=HALVES))
    with pytest.raises(ValueError, match=r'multiple of 512 .* got an input of \(32, 480\)'):
        model.inference_levels(torch.randn(1, 3, 32, 480))


def test_crf_refines_the_final_output_alone() -> None:
    image = random_image(50, 75)
    plain = predict(build(lrr_config(test_cfg=dict(level_outputs=True))), single_pipeline(), image)
    model = build(lrr_config(test_cfg=dict(level_outputs=True, crf=CRF)))
    sample = predict(model, single_pipeline(), image)
    # The image given is BGR, the CRF's RGB.
    crf = DenseCRF(iterations=2, bilateral_std_xy=20)
    expected = crf(image[..., ::-1].copy(), plain.seg_logits.data.exp())
    torch.testing.assert_close(sample.seg_logits.data.exp(), expected, rtol=0, atol=1e-5)
    assert torch.equal(sample.pred_sem_seg.data, sample.seg_logits.data.argmax(0, keepdim=True))
    assert (sample.pred_sem_seg.data != plain.pred_sem_seg.data).any()
    for level in LEVELS:
        field = f'pred_sem_seg_{level}'
        assert torch.equal(sample.get(field).data, plain.get(field).data)


def test_deferred_crf_gives_the_same_bits() -> None:
    image = random_image(50, 75)
    model = build(lrr_config(test_cfg=dict(crf=CRF)))
    at_once = predict(model, single_pipeline(), image)
    model.crf_deferred = True
    later = predict(model, single_pipeline(), image)
    assert not torch.equal(later.seg_logits.data, at_once.seg_logits.data)
    model.apply_crf([later])
    assert torch.equal(later.seg_logits.data, at_once.seg_logits.data)
    assert torch.equal(later.pred_sem_seg.data, at_once.pred_sem_seg.data)


def test_crf_asks_for_the_photograph() -> None:
    model = build(lrr_config(test_cfg=dict(crf=CRF)))
    with pytest.raises(KeyError, match='neither ori_img nor img_path: put .*KeepOriginalImage'):
        predict(model, single_pipeline(keep=False), random_image(40, 40))


def test_a_head_without_levels_works() -> None:
    model = build({**stock_config(), 'type': 'LRREncoderDecoder'})
    image = random_image(50, 75)
    sample = predict(model, single_pipeline(), image)
    with torch.no_grad():
        inputs = model.data_preprocessor(batch(single_pipeline(), image))['inputs']
        scores = model.decode_head.predict(
            model.extract_feat(inputs), [dict(img_shape=(64, 64))], model.test_cfg)
    probabilities = in_original(references.softmax(scores.double().numpy())[0], sample)
    np.testing.assert_allclose(sample.seg_logits.data.exp().numpy(), probabilities, atol=1e-5)


@pytest.mark.parametrize('test_cfg, message', [
    (dict(mode='half'), "test_cfg.mode must be one of 'whole', 'slide', 'halves', got 'half'"),
    (dict(mode='slide', crop_size=(4, 4), stride=(4, 5)), 'stride must not exceed'),
    (dict(class_threshold=10), 'class_threshold must be .* got 10'),
])
def test_bad_options_are_refused(test_cfg: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(lrr_config(test_cfg=test_cfg))


def test_an_unknown_option_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr('mmseg_lrr.models.segmentors.lrr_encoder_decoder.print_log',
                        lambda message, **_: said.append(message))
    build(lrr_config(test_cfg=dict(levels_output=True)))
    assert len(said) == 1 and said[0].endswith('did you mean level_outputs?')


def test_a_prediction_that_is_no_number_is_refused() -> None:
    model = build(lrr_config())
    with torch.no_grad():
        model.decode_head.levels['8x'].coefficients.weight[0] = float('nan')
    with pytest.raises(FloatingPointError, match='prediction of an image in memory is not finite'):
        predict(model, single_pipeline(), random_image(40, 50))


@pytest.mark.parametrize('option', [dict(level_outputs=True), dict(class_threshold=0.1)])
def test_options_that_need_a_head_with_levels(option: dict) -> None:
    config = {**stock_config(), 'type': 'LRREncoderDecoder'}
    config['test_cfg'] = dict(mode='whole', **option)
    with pytest.raises(ValueError, match='need a head with levels .* got FCNHead'):
        build(config)
