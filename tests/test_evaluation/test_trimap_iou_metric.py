# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Mean IoU near boundaries against loops over pixels and pairs of pixels."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample
from PIL import Image
from scipy import ndimage

from mmseg_lrr.evaluation import LRRIoUMetric, TrimapIoUMetric

from .evaluation_samples import (
    LEVELS,
    VOID,
    evaluate,
    make_sample,
    random_sample,
    slow_confusion,
    slow_miou,
)

CLASSES = ('sky', 'road', 'car', 'tree')
WIDTHS = (1, 2, 3, 5, 9)


def slow_band(label: np.ndarray, width: int, boundaries: str) -> np.ndarray:
    """Measure the distance from every pixel to every boundary (or void) pixel."""
    height, columns = label.shape
    targets = []
    for y, x in np.ndindex(label.shape):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < columns]
        if boundaries == 'labels' and any(label[place] != label[y, x] for place in inside):
            targets.append((y, x))
        elif boundaries == 'void' and label[y, x] == VOID:
            targets.append((y, x))
    band = np.zeros(label.shape, dtype=bool)
    for y, x in np.ndindex(label.shape):
        nearest = min((math.dist((y, x), target) for target in targets), default=math.inf)
        band[y, x] = nearest < width if boundaries == 'labels' else nearest <= width
    return band


def slow_score(samples: list, width: int, boundaries: str, suffix: str = '', absent=None) -> float:
    pairs = []
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        prediction = sample.get(f'pred_sem_seg{suffix}').data[0].numpy()
        pairs.append((prediction, label, slow_band(label, width, boundaries)))
    return slow_miou(slow_confusion(pairs, len(CLASSES)), absent)


def samples_of_all_kinds() -> list[SegDataSample]:
    samples = [random_sample(number, len(CLASSES)) for number in range(5)]
    one_label = np.full((5, 6), 2)
    ignored = np.full((4, 4), VOID)
    row = np.array([[0, 0, 0, 1, 1, VOID, 1, 1, 3, 3, 3, 3]])
    pixel = np.array([[3]])
    for label in (one_label, ignored, row, pixel):
        guess = np.where(label == VOID, 0, (label + np.indices(label.shape)[1] // 2) % 4)
        samples.append(make_sample(guess, label, dict.fromkeys(LEVELS, guess)))
    return samples


@pytest.mark.parametrize('absent', ['skip', 'zero'])
@pytest.mark.parametrize('boundaries', ['labels', 'void'])
def test_equals_loops_over_pixels(boundaries: str, absent: str) -> None:
    samples = samples_of_all_kinds()
    metric = TrimapIoUMetric(widths=WIDTHS, boundaries=boundaries, absent_classes=absent)
    metrics = evaluate(metric, samples, CLASSES)
    assert len(metrics) == len(WIDTHS) * (1 + len(LEVELS))
    for width in WIDTHS:
        for suffix in ('', *(f'_{level}' for level in LEVELS)):
            expected = slow_score(
                samples, width, boundaries, suffix, {'skip': None, 'zero': 0.0}[absent])
            assert metrics[f'trimap_mIoU@{width}{suffix}'] == pytest.approx(
                expected, abs=1e-9, nan_ok=True)
    # Neither the widths' nor the images' order matters.
    metric = TrimapIoUMetric(widths=WIDTHS[::-1], boundaries=boundaries, absent_classes=absent)
    assert evaluate(metric, samples[::-1], CLASSES) == pytest.approx(metrics, nan_ok=True, abs=0)


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


def test_full_width_is_plain_miou_of_the_images_that_have_boundaries() -> None:
    samples = samples_of_all_kinds()
    metrics = evaluate(TrimapIoUMetric(widths=(10**6, )), samples, CLASSES)
    with_boundaries = [s for s in samples if len(s.gt_sem_seg.data.unique()) > 1]
    assert len(with_boundaries) < len(samples)
    plain = evaluate(LRRIoUMetric(), with_boundaries, CLASSES)
    for level in ('', *(f'_{level}' for level in LEVELS)):
        assert metrics[f'trimap_mIoU@1000000{level}'] == plain[f'mIoU{level}']


def test_ignored_pixels_never_count() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(3)]
    before = evaluate(TrimapIoUMetric(widths=WIDTHS), samples, CLASSES)
    for sample in samples:
        ignored = sample.gt_sem_seg.data == VOID
        assert ignored.any()
        prediction = sample.pred_sem_seg.data
        prediction[ignored] = (prediction[ignored] + 1) % len(CLASSES)
    assert evaluate(TrimapIoUMetric(widths=WIDTHS), samples, CLASSES) == before


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


@pytest.mark.parametrize('boundaries', ['labels', 'void'])
def test_real_voc_labels(shared_data, boundaries: str) -> None:
    folder = shared_data('voc')
    names = (folder / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[::6]
    confusion = {width: np.zeros((21, 21)) for width in (1, 3, 10)}
    samples = []
    for name in names:
        label = np.array(Image.open(folder / 'SegmentationClassAug' / f'{name}.png')).astype(int)
        # As a network errs: shifted, and void pixels filled with something.
        prediction = np.roll(np.where(label == VOID, 15, label), (2, 3), axis=(0, 1))
        samples.append(make_sample(prediction, label))
        if boundaries == 'labels':
            shifted = np.pad(label, 1, mode='edge')
            around = [shifted[1 + dy:, 1 + dx:][:label.shape[0], :label.shape[1]]
                      for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))]
            targets = np.any([other != label for other in around], axis=0)
        else:
            targets = label == VOID
        distance = ndimage.distance_transform_edt(~targets)
        for width, counts in confusion.items():
            near = distance < width if boundaries == 'labels' else distance <= width
            kept = near & targets.any() & (label != VOID)
            np.add.at(counts, (label[kept], prediction[kept]), 1)
    metric = TrimapIoUMetric(widths=tuple(confusion), boundaries=boundaries)
    metrics = evaluate(metric, samples, [str(c) for c in range(21)])
    for width, counts in confusion.items():
        assert metrics[f'trimap_mIoU@{width}'] == pytest.approx(slow_miou(counts), abs=1e-9)
