# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Mean IoU near boundaries against SciPy's distances and loops over pixels."""

import csv
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample
from PIL import Image
from scipy import ndimage

from mmseg_lrr.evaluation import TrimapIoUMetric

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
    """Mark the pixels near a change of label, or near ignored ones, by SciPy's distances."""
    if boundaries == 'labels':
        # The least and the most of a pixel and its neighbours inside the image.
        cross = ndimage.generate_binary_structure(2, 1)
        targets = (ndimage.minimum_filter(label, footprint=cross, mode='nearest')
                   != ndimage.maximum_filter(label, footprint=cross, mode='nearest'))
    else:
        targets = label == VOID
    distance = ndimage.distance_transform_edt(~targets)
    return targets.any() & (distance < width if boundaries == 'labels' else distance <= width)


def slow_score(samples: list, width: int, boundaries: str, suffix: str = '', absent=None) -> float:
    pairs = []
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        prediction = sample.get(f'pred_sem_seg{suffix}').data[0].numpy()
        pairs.append((prediction, label, slow_band(label, width, boundaries)))
    return slow_miou(slow_confusion(pairs, len(CLASSES)), absent)


def samples_of_all_kinds() -> list[SegDataSample]:
    samples = [random_sample(number, len(CLASSES)) for number in range(5)]
    row = np.array([[0, 0, 0, 1, 1, VOID, 1, 1, 3, 3, 3, 3]])
    for label in (row, np.full((5, 6), 2), np.full((4, 4), VOID), np.array([[3]])):
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
        for width, counts in confusion.items():
            kept = slow_band(label, width, boundaries) & (label != VOID)
            np.add.at(counts, (label[kept], prediction[kept]), 1)
    metric = TrimapIoUMetric(widths=tuple(confusion), boundaries=boundaries)
    metrics = evaluate(metric, samples, [str(c) for c in range(21)])
    for width, counts in confusion.items():
        assert metrics[f'trimap_mIoU@{width}'] == pytest.approx(slow_miou(counts), abs=1e-9)
