# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The IoU metric of levels against confusion matrices and mmseg's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.evaluation import (
    BoundaryFMetric,
    BoundaryIoUMetric,
    LRRIoUMetric,
    TrimapIoUMetric,
)

from .evaluation_samples import (
    LEVELS,
    VOID,
    evaluate,
    make_sample,
    random_sample,
    slow_confusion,
    slow_miou,
)

CLASSES = ('sky', 'road', 'car', 'tree', 'boat')


def slow_matrix(samples: list[SegDataSample], level: str) -> np.ndarray:
    pairs = []
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        prediction = sample.get(f'pred_sem_seg{level}').data[0].numpy()
        pairs.append((prediction, label, np.ones(label.shape, dtype=bool)))
    return slow_confusion(pairs, len(CLASSES))


@pytest.mark.parametrize('absent', ['skip', 'zero'])
def test_every_level_equals_the_confusion_matrix(absent: str) -> None:
    # Fewer classes than there are: two are absent.
    samples = [random_sample(number, 3) for number in range(7)]
    metrics = evaluate(LRRIoUMetric(absent_classes=absent, details=True), samples, CLASSES)
    count = {'skip': None, 'zero': 0.0}[absent]
    for level in ('', *(f'_{level}' for level in LEVELS)):
        matrix = slow_matrix(samples, level)
        assert metrics[f'mIoU{level}'] == pytest.approx(slow_miou(matrix, count), abs=1e-9)
        hits, label, either = np.diag(matrix), matrix.sum(1), matrix.sum(0) + matrix.sum(1)
        assert metrics[f'aAcc{level}'] == pytest.approx(100 * hits.sum() / matrix.sum(), abs=.0051)
        found = [hit / total if total else count for hit, total in zip(hits, label, strict=True)]
        known = [accuracy for accuracy in found if accuracy is not None]
        assert metrics[f'mAcc{level}'] == pytest.approx(100 * np.mean(known), abs=.0051)
        for name, hit, total in zip(CLASSES, hits, either, strict=True):
            expected = 100 * hit / (total - hit) if total else np.nan if count is None else count
            assert metrics[f'IoU{level}/{name}'] == pytest.approx(expected, abs=.0051, nan_ok=True)
    assert [name for name in metrics if name.startswith('mIoU')] == [
        'mIoU', 'mIoU_32x', 'mIoU_16x', 'mIoU_8x', 'mIoU_4x']


@pytest.mark.parametrize('options', [
    dict(),
    dict(iou_metrics=['mIoU', 'mDice', 'mFscore'], beta=2),
    dict(iou_metrics='mDice', nan_to_num=0),
    dict(nan_to_num=1, ignore_index=3, prefix='val'),
])
def test_equals_mmseg(options: dict) -> None:
    samples = [random_sample(number, 3) for number in range(6)]
    if options.get('ignore_index') == 3:
        for sample in samples:
            label = sample.gt_sem_seg.data
            label[label == VOID] = 3
    ours = evaluate(LRRIoUMetric(**options), samples, CLASSES)
    assert all(isinstance(value, float) for value in ours.values())
    for suffix in ('', *(f'_{level}' for level in LEVELS)):
        for sample in samples:
            sample.pred_sem_seg = sample.get(f'pred_sem_seg{suffix}')
        stock = evaluate(IoUMetric(**options), samples, CLASSES)
        for name, value in stock.items():
            if not suffix or name.split('/')[-1] in ('mIoU', 'mDice', 'mFscore'):
                assert ours[name + suffix] == pytest.approx(float(value), abs=0.0051)


def test_bands_and_levels_from_one_dict_and_one_pass(tmp_path: Path) -> None:
    # Two classes are absent.
    samples = [random_sample(number, 3) for number in range(5)]
    evaluator = Evaluator(dict(
        type='mmseg.LRRIoUMetric', nan_to_num=0, trimap=dict(widths=(1, 3, 1000)),
        boundary_iou=dict(), boundary_f=dict(widths=[2]),
        # What tools/test.py --out adds.
        output_dir=str(tmp_path / 'out'), keep_results=True))
    evaluator.dataset_meta = dict(classes=CLASSES)
    for sample in samples:
        evaluator.process([sample])
    metrics = evaluator.evaluate(len(samples))
    alone = (LRRIoUMetric(absent_classes='zero'),
             TrimapIoUMetric(widths=(1, 3, 1000), absent_classes='zero'),
             BoundaryIoUMetric(absent_classes='zero'),
             BoundaryFMetric(widths=[2], absent_classes='zero'))
    assert metrics == {name: value for metric in alone
                       for name, value in evaluate(metric, samples, CLASSES).items()}
    for number, sample in enumerate(samples):
        written = np.asarray(Image.open(tmp_path / 'out' / f'{number}.png'))
        np.testing.assert_array_equal(written, sample.pred_sem_seg.data[0].numpy())


def test_the_log_says_how_absent_classes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    module = 'mmseg_lrr.evaluation.metrics.level_iou_metric.print_log'
    monkeypatch.setattr(module, lambda message, logger: lines.append(message))
    for options in (dict(), dict(nan_to_num=1)):
        evaluate(LRRIoUMetric(**options), [random_sample(0, 5)], CLASSES)
    for line, text in zip(lines, ('are skipped', 'count as 1'), strict=True):
        assert 'classes absent from both prediction and ground truth ' + text in line
        assert '32x' in line


def test_counts_beyond_float32() -> None:
    label = np.ones((4099, 4099), dtype=np.uint8)
    label[0] = 0
    prediction = label.copy()
    prediction[0, 0] = 1
    metric = LRRIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES[:2])
    metric.process({}, [make_sample(prediction, label).to_dict()])
    areas = metric.results[0][0].areas[0].sum(axis=0)
    ones = 4098 * 4099
    np.testing.assert_array_equal(areas, [[4098, ones], [4098, ones + 1], [4099, ones]])


def test_an_image_without_known_pixels() -> None:
    label = np.full((3, 5), VOID)
    metrics = evaluate(
        LRRIoUMetric(trimap=dict(widths=[3])), [make_sample(label * 0, label)], CLASSES)
    assert np.isnan(metrics['mIoU']) and np.isnan(metrics['trimap_mIoU@3'])


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1)])
def test_thin_images_keep_their_shape(tmp_path: Path, shape: tuple[int, int]) -> None:
    label = np.zeros(shape, dtype=np.int64)
    prediction = (np.arange(label.size) % 2).reshape(shape)
    metric = LRRIoUMetric(output_dir=str(tmp_path), trimap=dict(widths=[1]))
    sample = make_sample(prediction, label, img_path='thin.png')
    assert evaluate(metric, [sample], CLASSES)['mIoU'] == slow_miou(slow_matrix([sample], ''))
    assert np.asarray(Image.open(tmp_path / 'thin.png')).shape == shape


def test_two_images_of_one_name(tmp_path: Path) -> None:
    """The second one's PNG would replace the first one's."""
    label = np.zeros((2, 2), int)
    samples = [make_sample(label + value, label, img_path=f'{folder}/a.jpg')
               for value, folder in enumerate('xxy')]
    metric = LRRIoUMetric(output_dir=str(tmp_path))
    evaluate(metric, samples[:2], CLASSES)
    with pytest.raises(ValueError, match=r'x/a\.jpg and y/a\.jpg would both be written to .*a\.p'):
        evaluate(metric, samples[2:], CLASSES)
    assert (np.asarray(Image.open(tmp_path / 'a.png')) == 1).all()


def test_format_only_needs_no_ground_truth(tmp_path: Path) -> None:
    prediction = np.array([[0, 1], [2, 3]])
    metric = LRRIoUMetric(format_only=True, output_dir=str(tmp_path))
    sample = make_sample(prediction, None, img_path='a/b.jpg', reduce_zero_label=True)
    assert evaluate(metric, [sample], CLASSES) == {}
    (written, ) = tmp_path.iterdir()
    assert written.name == 'b.png'
    np.testing.assert_array_equal(np.asarray(Image.open(written)), prediction + 1)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(iou_metrics=['IoU']), "iou_metrics must be one of 'mIoU'.*got 'IoU'"),
    (dict(absent_classes='nan'), "absent_classes must be one of 'skip', 'zero', got 'nan'"),
    (dict(format_only=True), 'output_dir.*got None'),
    (dict(trimap=dict(width=3)), "unexpected keyword argument 'width'"),
])
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LRRIoUMetric(**options)


@pytest.mark.parametrize(('prediction', 'label', 'levels', 'message'), [
    (np.zeros((2, 2), int), np.full((2, 2), 33), {},
     r'ground truth y\.png holds the class 33, expected 0\.\.4 or 255'),
    (np.zeros((2, 2), int), np.full((2, 2), -1), {}, 'holds the class -1'),
    (np.full((2, 2), 5), np.zeros((2, 2), int), {},
     r'the final prediction of x\.jpg .* classes up to 5, expected .* 0\.\.4'),
    (np.zeros((2, 2), int), np.zeros((2, 2), int), {'8x': np.zeros((1, 1), int)},
     r'the 8x prediction of x\.jpg is of size \(1, 1\)'),
])
def test_data_that_would_be_miscounted_name_the_file(prediction, label, levels, message) -> None:
    bad = make_sample(prediction, label, levels, img_path='x.jpg', seg_map_path='y.png')
    with pytest.raises(ValueError, match=message):
        evaluate(LRRIoUMetric(), [bad], CLASSES)


def test_nothing_evaluated() -> None:
    with pytest.raises(ValueError, match='no image was evaluated'):
        evaluate(LRRIoUMetric(), [], CLASSES)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU here')
def test_predictions_on_a_gpu() -> None:
    samples = [random_sample(number, 5) for number in range(3)]
    expected = evaluate(LRRIoUMetric(trimap=dict(widths=[3])), samples, CLASSES)
    moved = [sample.to('cuda') for sample in samples]
    assert evaluate(LRRIoUMetric(trimap=dict(widths=[3])), moved, CLASSES) == expected
