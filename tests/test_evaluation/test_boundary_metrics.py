# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The scores near boundaries against SciPy's distances, one class and one image at a time."""

import csv
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample
from PIL import Image
from scipy import ndimage

from mmseg_lrr.evaluation import BoundaryFMetric, BoundaryIoUMetric, TrimapIoUMetric

from .evaluation_samples import LEVELS, VOID, evaluate, make_sample, random_sample

CLASSES = ('sky', 'road', 'car', 'tree')
WIDTHS = (1, 2, 3, 5, 9)


def within(targets: np.ndarray, distance: float) -> np.ndarray:
    """Mark the pixels at most so far from a target."""
    return targets.any() & (ndimage.distance_transform_edt(~targets) <= distance)


def inner_band(labels: np.ndarray, c: int, width: int) -> np.ndarray:
    return (labels == c) & within((labels != c) & (labels != VOID), width)


def slow_trimap(
        prediction: np.ndarray, label: np.ndarray, c: int, width: int, boundaries: str) -> list:
    band = within(label == VOID, width)
    if boundaries == 'labels':
        # The least and the most of a pixel and its neighbours inside the image.
        cross = ndimage.generate_binary_structure(2, 1)
        band = within(ndimage.minimum_filter(label, footprint=cross, mode='nearest')
                      != ndimage.maximum_filter(label, footprint=cross, mode='nearest'),
                      np.sqrt(width**2 - .5))
    found, real = ((item == c) & band for item in (prediction, label))
    return [found & real, found | real]


def slow_boundary_iou(prediction: np.ndarray, label: np.ndarray, c: int, width: int) -> list:
    found, real = (inner_band(item, c, width) for item in (prediction, label))
    return [found & real, found | real]


def slow_boundary_f(prediction: np.ndarray, label: np.ndarray, c: int, width: int) -> list:
    found, real = (inner_band(item, c, 1) for item in (prediction, label))
    return [found & within(real, width), found, real & within(found, width), real]


#: Name of the results -> metric, its options, pixels to count, share of the diagonal.
KINDS = {
    'labels': (TrimapIoUMetric, dict(boundaries='labels'), slow_trimap, None),
    'void': (TrimapIoUMetric, dict(boundaries='void'), slow_trimap, None),
    'iou': (BoundaryIoUMetric, {}, slow_boundary_iou, .02),
    'f': (BoundaryFMetric, {}, slow_boundary_f, .008),
}


def slow_score(samples: list, kind: str, width: int | None, suffix: str = '',
               absent: float | None = None, num_classes: int = len(CLASSES)) -> float:
    """Mean over the classes in percent; a width of None is the share of the diagonal."""
    _, options, count, share = KINDS[kind]
    scores = []
    for c in range(num_classes):
        total = 0
        for sample in samples:
            label = sample.gt_sem_seg.data[0].numpy()
            prediction = sample.get(f'pred_sem_seg{suffix}').data[0].numpy()
            prediction = np.where(label == VOID, VOID, prediction)
            pixels = width or max(1, round(share * np.hypot(*label.shape)))
            total += np.sum(count(prediction, label, c, pixels, **options), axis=(1, 2))
        if not total[1::2].any():
            scores += [] if absent is None else [absent]
        elif len(total) == 2:
            scores.append(total[0] / total[1])
        else:
            precision, recall = total[::2] / np.maximum(total[1::2], 1)
            both = precision + recall
            scores.append(2 * precision * recall / both if both else 0)
    return round(100 * sum(scores) / len(scores), 2) if scores else float('nan')


def samples_of_all_kinds() -> list[SegDataSample]:
    samples = [random_sample(number, len(CLASSES)) for number in range(5)]
    row = np.array([[0, 0, 0, 1, 1, VOID, 1, 1, 3, 3, 3, 3]])
    for label in (row, np.full((5, 6), 2), np.full((4, 4), VOID), np.array([[3]])):
        guess = np.where(label == VOID, 0, (label + np.indices(label.shape)[1] // 2) % 4)
        samples.append(make_sample(guess, label, dict.fromkeys(LEVELS, guess)))
    return samples


@pytest.mark.parametrize('absent', ['skip', 'zero'])
@pytest.mark.parametrize('kind', KINDS)
def test_equals_the_slow_reference(kind: str, absent: str) -> None:
    # Class 4 is nowhere.
    samples, classes = samples_of_all_kinds(), (*CLASSES, 'boat')
    metric, options, *_ = KINDS[kind]
    metrics = evaluate(metric(widths=WIDTHS, absent_classes=absent, **options), samples, classes)
    assert len(metrics) == len(WIDTHS) * (1 + len(LEVELS))
    for width in WIDTHS:
        for suffix in ('', *(f'_{level}' for level in LEVELS)):
            expected = slow_score(samples, kind, width, suffix,
                                  {'skip': None, 'zero': 0.0}[absent], len(classes))
            assert metrics[f'{metric.name}@{width}{suffix}'] == pytest.approx(expected, abs=1e-9)
    # Neither the widths' nor the images' order matters.
    turned = metric(widths=WIDTHS[::-1], absent_classes=absent, **options)
    assert evaluate(turned, samples[::-1], classes) == metrics


@pytest.mark.parametrize('kind', ['iou', 'f'])
def test_default_width_is_a_share_of_each_image(kind: str) -> None:
    random, samples = np.random.default_rng(0), []
    for height, width in ((9, 12), (180, 240), (240, 320)):
        label = random.choice([0, 1, 2, VOID], (height // 3, width // 3)).repeat(3, 0).repeat(3, 1)
        samples.append(make_sample(np.roll(label % VOID, 2, axis=1), label))
    metric = KINDS[kind][0]
    assert evaluate(metric(), samples, CLASSES) == {
        metric.name: pytest.approx(slow_score(samples, kind, None), abs=1e-9)}


def test_a_scene_counted_by_hand() -> None:
    # Columns 3 and 4 are the boundary; the prediction puts it one column too far to the right.
    label = np.zeros((2, 8), dtype=np.int64)
    label[:, 4:] = 1
    prediction = np.zeros((2, 8), dtype=np.int64)
    prediction[:, 5:] = 1
    metrics = evaluate(TrimapIoUMetric(widths=(1, 2, 4, 100)), [make_sample(prediction, label)],
                       ('left', 'right'))
    assert metrics == {
        'trimap_mIoU@1': 25.0,  # (1/2 + 0/1) / 2
        'trimap_mIoU@2': 58.33,  # (2/3 + 1/2) / 2
        'trimap_mIoU@4': 77.5,  # (4/5 + 3/4) / 2
        'trimap_mIoU@100': 77.5,
    }


def test_a_row_counted_by_hand() -> None:
    # Neither the void pixel nor the row's ends make a boundary; class 0 has none of width 1.
    label = np.array([[0, 0, 0, 0, VOID, 1, 1, 1, 2, 2]])
    sample = make_sample(np.array([[0, 0, 0, 0, 0, 0, 1, 1, 1, 2]]), label)
    assert evaluate(BoundaryIoUMetric(widths=(1, 3)), [sample], CLASSES) == {
        'boundary_mIoU@1': 0.0,
        'boundary_mIoU@3': 44.44,  # (1/3 + 2/4 + 1/2) / 3
    }
    assert evaluate(BoundaryFMetric(widths=[1]), [sample], CLASSES) == {
        'boundary_mF@1': 66.67,  # (0 + 1 + 1) / 3
    }


def test_curve_files_of_a_metric_built_from_a_config(tmp_path: Path) -> None:
    csv_path, plot_path = tmp_path / 'new' / 'curve.csv', tmp_path / 'new' / 'curve.png'
    evaluator = Evaluator(dict(
        type='mmseg.TrimapIoUMetric', widths=(1, 3), prefix='near', csv_path=str(csv_path),
        plot_path=str(plot_path)))
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process([random_sample(number, len(CLASSES)) for number in range(3)])
    metrics = evaluator.evaluate(3)
    with open(csv_path, newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['width', 'level', 'mIoU']
    assert [row['level'] for row in rows[::2]] == [*LEVELS, 'final']
    for row in rows:
        suffix = '' if row['level'] == 'final' else f'_{row["level"]}'
        assert float(row['mIoU']) == metrics[f'near/trimap_mIoU@{row["width"]}{suffix}']
    assert len(rows) == len(metrics)
    with Image.open(plot_path) as picture:
        assert picture.format == 'PNG'


@pytest.mark.parametrize(('options', 'message'), [
    (dict(widths=(3, 0)), 'widths must be an integer >= 1, got 0'),
    (dict(boundaries='edges'), "boundaries must be one of 'labels', 'void', got 'edges'"),
    (dict(absent_classes=0), "absent_classes must be one of 'skip', 'zero', got 0"),
])
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrimapIoUMetric(**options)


@pytest.mark.parametrize('kind', KINDS)
def test_real_voc_labels(shared_data, kind: str) -> None:
    folder = shared_data('voc')
    names = (folder / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[::30]
    samples = []
    for name in names:
        label = np.array(Image.open(folder / 'SegmentationClassAug' / f'{name}.png')).astype(int)
        # As a network errs: shifted, and void pixels filled with something.
        prediction = np.roll(np.where(label == VOID, 15, label), (2, 3), axis=(0, 1))
        samples.append(make_sample(prediction, label))
    metric, options, *_ = KINDS[kind]
    metrics = evaluate(metric(widths=(3, 10), **options), samples, [str(c) for c in range(21)])
    for width in (3, 10):
        expected = slow_score(samples, kind, width, num_classes=21)
        assert metrics[f'{metric.name}@{width}'] == pytest.approx(expected, abs=1e-9)
