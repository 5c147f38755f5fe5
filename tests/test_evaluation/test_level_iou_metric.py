# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The IoU metric of levels against confusion matrices and the toolbox's own."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.evaluation import LRRIoUMetric, TrimapIoUMetric

from .evaluation_samples import (
    LEVELS,
    VOID,
    make_sample,
    random_sample,
    slow_confusion,
    slow_miou,
    to_dicts,
)

CLASSES = ('sky', 'road', 'car', 'tree', 'boat')


def evaluate(metric, samples: list[SegDataSample], classes=CLASSES) -> dict:
    metric.dataset_meta = dict(classes=classes)
    for start in range(0, len(samples), 2):
        metric.process({}, to_dicts(samples[start:start + 2]))
    return metric.evaluate(len(samples))


def slow_score(samples, level: str, num_classes: int, absent: float | None = None) -> float:
    field = 'pred_sem_seg' if level == 'final' else f'pred_sem_seg_{level}'
    pairs = []
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        kept = np.ones(label.shape, dtype=bool)
        pairs.append((sample.get(field).data[0].numpy(), label, kept))
    return slow_miou(slow_confusion(pairs, num_classes), absent)


def test_every_level_equals_the_confusion_matrix() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(7)]
    metrics = evaluate(LRRIoUMetric(), samples)
    assert metrics['mIoU'] == pytest.approx(slow_score(samples, 'final', 5), abs=1e-9)
    for level in LEVELS:
        expected = slow_score(samples, level, 5)
        assert metrics[f'mIoU_{level}'] == pytest.approx(expected, abs=1e-9)
    levels = [name for name in metrics if name.startswith('mIoU')]
    assert levels == ['mIoU', 'mIoU_32x', 'mIoU_16x', 'mIoU_8x', 'mIoU_4x']


@pytest.mark.parametrize('options', [
    dict(),
    dict(iou_metrics=['mIoU', 'mDice', 'mFscore'], beta=2),
    dict(iou_metrics=['mDice'], nan_to_num=0),
    dict(nan_to_num=1, ignore_index=3, prefix='val'),
])
def test_without_levels_equals_the_toolbox(options: dict) -> None:
    samples = [random_sample(number, 3, with_levels=False) for number in range(6)]
    if options.get('ignore_index') == 3:
        for sample in samples:
            label = sample.gt_sem_seg.data
            label[label == VOID] = 3
    # More classes than occur: two of them are absent.
    stock = evaluate(IoUMetric(**options), samples)
    ours = evaluate(LRRIoUMetric(**options), samples)
    assert list(ours) == list(stock)
    assert ours == pytest.approx({name: float(value) for name, value in stock.items()}, abs=0.0051)
    assert all(isinstance(value, float) for value in ours.values())


def test_levels_get_each_of_the_headline_figures() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(4)]
    names = ['mIoU', 'mDice', 'mFscore']
    ours = evaluate(LRRIoUMetric(iou_metrics=names), samples)
    for level in LEVELS:
        for sample in samples:
            sample.pred_sem_seg = sample.get(f'pred_sem_seg_{level}')
        stock = evaluate(IoUMetric(iou_metrics=names), samples)
        for name in names:
            assert ours[f'{name}_{level}'] == pytest.approx(float(stock[name]), abs=0.0051)


def test_absent_classes() -> None:
    samples = [random_sample(number, 3) for number in range(3)]
    skipped = evaluate(LRRIoUMetric(absent_classes='skip'), samples)
    zeros = evaluate(LRRIoUMetric(absent_classes='zero', trimap=dict(widths=[2])), samples)
    for level, suffix in [('final', ''), *((level, f'_{level}') for level in LEVELS)]:
        assert skipped[f'mIoU{suffix}'] == slow_score(samples, level, 5)
        assert zeros[f'mIoU{suffix}'] == slow_score(samples, level, 5, absent=0.0)
    alone = TrimapIoUMetric(widths=[2], absent_classes='zero')
    assert zeros['trimap_mIoU@2'] == evaluate(alone, samples)['trimap_mIoU@2']


@pytest.mark.parametrize(('options', 'text'), [
    (dict(), 'are skipped'),
    (dict(absent_classes='zero'), 'count as 0'),
    (dict(nan_to_num=1), 'count as 1'),
])
def test_the_log_says_how_absent_classes_count(
    options: dict, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    module = 'mmseg_lrr.evaluation.metrics.level_iou_metric.print_log'
    monkeypatch.setattr(module, lambda message, logger: lines.append(message))
    evaluate(LRRIoUMetric(**options), [random_sample(0, 5)])
    assert 'classes absent from both prediction and ground truth ' + text in lines[0]
    assert '32x' in lines[0]


def test_bands_and_levels_from_one_dict_and_one_pass(tmp_path) -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(5)]
    config = dict(
        type='mmseg.LRRIoUMetric', iou_metrics=['mIoU'], trimap=dict(widths=(1, 3, 1000)),
        # What tools/test.py --out adds.
        output_dir=str(tmp_path / 'out'), keep_results=True)
    evaluator = Evaluator(config)
    evaluator.dataset_meta = dict(classes=CLASSES)
    for sample in samples:
        evaluator.process([sample])
    assert len(evaluator.metrics[0].results) == len(samples)
    metrics = evaluator.evaluate(len(samples))
    trimap = evaluate(TrimapIoUMetric(widths=(1, 3, 1000)), samples)
    levels = evaluate(LRRIoUMetric(), samples)
    assert metrics == {**levels, **trimap}
    for number, sample in enumerate(samples):
        written = np.asarray(Image.open(tmp_path / 'out' / f'{number}.png'))
        np.testing.assert_array_equal(written, sample.pred_sem_seg.data[0].numpy())


def test_counts_beyond_float32() -> None:
    label = np.ones((4099, 4099), dtype=np.uint8)
    label[0] = 0
    prediction = label.copy()
    prediction[0, 0] = 1
    metric = LRRIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES[:2])
    metric.process({}, to_dicts([make_sample(prediction, label)]))
    areas = metric.results[0].areas[0].sum(axis=0)
    ones = 4098 * 4099
    np.testing.assert_array_equal(areas, [[4098, ones], [4098, ones + 1], [4099, ones]])


def test_an_image_without_ignored_or_known_pixels() -> None:
    label = np.full((3, 5), VOID)
    metrics = evaluate(LRRIoUMetric(trimap=dict(widths=[3])), [make_sample(label * 0, label)])
    assert np.isnan(metrics['mIoU'])
    assert np.isnan(metrics['trimap_mIoU@3'])


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1)])
def test_thin_images_keep_their_shape(tmp_path, shape: tuple[int, int]) -> None:
    label = np.zeros(shape, dtype=np.int64)
    prediction = (np.arange(label.size) % 2).reshape(shape)
    metric = LRRIoUMetric(output_dir=str(tmp_path), trimap=dict(widths=[1]))
    sample = make_sample(prediction, label, img_path='thin.png')
    assert evaluate(metric, [sample])['mIoU'] == pytest.approx(
        slow_score([sample], 'final', 5), abs=1e-9
    )
    assert np.asarray(Image.open(tmp_path / 'thin.png')).shape == shape


def test_two_images_of_one_name(tmp_path: Path) -> None:
    """The second one's PNG would replace the first one's."""
    metric = LRRIoUMetric(output_dir=str(tmp_path))
    metric.dataset_meta = dict(classes=CLASSES)
    label = np.zeros((2, 2), int)
    samples = [make_sample(label + value, label, img_path=f'{folder}/a.jpg')
               for value, folder in enumerate('xy')]
    metric.process({}, to_dicts(samples[:1]))
    metric.process({}, to_dicts(samples[:1]))
    with pytest.raises(ValueError, match=r'x/a\.jpg and y/a\.jpg would both be written to a\.png'):
        metric.process({}, to_dicts(samples[1:]))
    assert len(metric.results) == 2
    assert not np.asarray(Image.open(tmp_path / 'a.png')).any()


def test_format_only_needs_no_ground_truth(tmp_path) -> None:
    prediction = np.array([[0, 1], [2, 3]])
    metric = LRRIoUMetric(format_only=True, output_dir=str(tmp_path))
    sample = make_sample(prediction, None, img_path='a/b.jpg', reduce_zero_label=True)
    assert evaluate(metric, [sample]) == {}
    assert os.listdir(tmp_path) == ['b.png']
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'b.png')), prediction + 1)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(iou_metrics=['IoU']), "iou_metrics must be one of 'mIoU'.*got 'IoU'"),
    (dict(absent_classes='nan'), "absent_classes must be one of 'skip', 'zero', got 'nan'"),
    (dict(absent_classes='zero', nan_to_num=1), "absent_classes='zero'.*nan_to_num=1"),
    (dict(ignore_index=2.5), 'ignore_index must be an integer, got 2.5'),
    (dict(beta=0), 'beta must be a finite number > 0, got 0'),
    (dict(format_only=True), 'output_dir.*got None'),
    (dict(format_only=1), 'format_only must be True or False, got 1'),
    (dict(keep_results=False), 'keep_results must be one of True, got False'),
    (dict(trimap=dict(widths=(0, ))), r'widths\[0\] must be an integer >= 1, got 0'),
    (dict(trimap=dict(width=3)), "trimap option must be one of .*, got 'width'"),
    (dict(iou_metric=['mIoU']), "unexpected keyword argument 'iou_metric'"),
])
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LRRIoUMetric(**options)


@pytest.mark.parametrize(('prediction', 'label', 'levels', 'message'), [
    (np.zeros((2, 2), int), None, {}, r'x\.jpg has no ground truth \(gt_sem_seg\)'),
    (np.zeros((2, 2), int), np.full((2, 2), 33), {},
     r'ground truth y\.png holds the class 33, expected 0\.\.4 or 255'),
    (np.zeros((2, 2), int), np.full((2, 2), -1), {}, 'holds the class -1'),
    (np.full((2, 2), 5), np.zeros((2, 2), int), {},
     r'the final prediction of x\.jpg holds the class 5, expected 0\.\.4'),
    (np.zeros((2, 3), int), np.zeros((3, 2), int), {}, r'x\.jpg is of size \(2, 3\)'),
    (np.zeros((2, 2), int), np.zeros((2, 2), int), {'8x': np.zeros((1, 1), int)},
     'the 8x prediction'),
    (np.zeros((2, 2)), np.zeros((2, 2), int), {}, 'pred_sem_seg of .* must hold integers'),
])
def test_bad_data_name_the_file(prediction, label, levels, message: str) -> None:
    metric = LRRIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    good = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int))
    metric.process({}, to_dicts([good]))
    bad = make_sample(prediction, label, levels, img_path='x.jpg', seg_map_path='y.png')
    with pytest.raises(ValueError, match=message):
        metric.process({}, to_dicts([bad]))
    assert len(metric.results) == 1


def test_images_must_have_the_same_levels() -> None:
    metric = LRRIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, to_dicts([random_sample(0, 5)]))
    with pytest.raises(ValueError, match=r"images/1\.jpg has the outputs \['final'\]"):
        metric.process({}, to_dicts([random_sample(1, 5, with_levels=False)]))


def test_classes_must_be_known() -> None:
    with pytest.raises(ValueError, match="names of the classes under 'classes', got None"):
        LRRIoUMetric().process({}, to_dicts([random_sample(0, 5)]))


def test_nothing_evaluated() -> None:
    metric = LRRIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match='no image was evaluated'):
        metric.evaluate(0)


def test_real_cityscapes_labels_against_a_plain_confusion_matrix(shared_data) -> None:
    file, = shared_data('cityscapes').glob('gtFine/val/*/*_labelIds.png')
    ids = np.asarray(Image.open(file))
    label = np.full(ids.shape, VOID)
    for train_id, value in enumerate(np.unique(ids)[4:]):
        label[ids == value] = train_id
    num_classes = label[label != VOID].max() + 1
    prediction = np.where(label == VOID, 0, np.roll(label, (3, -5), axis=(0, 1)) % num_classes)
    metrics = evaluate(
        LRRIoUMetric(), [make_sample(prediction, label)], [str(c) for c in range(num_classes)]
    )
    valid = label != VOID
    confusion, _, _ = np.histogram2d(
        label[valid], prediction[valid], bins=num_classes, range=[[-0.5, num_classes - 0.5]] * 2
    )
    assert metrics['mIoU'] == pytest.approx(slow_miou(confusion), abs=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU here')
def test_predictions_on_a_gpu() -> None:
    samples = [random_sample(number, 5) for number in range(3)]
    expected = evaluate(LRRIoUMetric(trimap=dict(widths=[3])), samples)
    moved = [sample.to('cuda') for sample in samples]
    assert evaluate(LRRIoUMetric(trimap=dict(widths=[3])), moved) == expected
