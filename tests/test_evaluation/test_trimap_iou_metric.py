# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Mean IoU near boundaries against loops over pixels and pairs of pixels."""

import csv
import math
from collections.abc import Sequence

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric, Evaluator
from mmseg.structures import SegDataSample
from PIL import Image
from scipy import ndimage

from mmseg_lrr.evaluation import LRRIoUMetric, TrimapIoUMetric
from mmseg_lrr.reporting.plots import plot_trimap_curves, write_trimap_csv

from .evaluation_samples import (
    LEVELS,
    VOID,
    make_sample,
    random_sample,
    slow_confusion,
    slow_miou,
    to_dicts,
)

CLASSES = ('sky', 'road', 'car', 'tree')
WIDTHS = (1, 2, 3, 5, 9)


def evaluate(metric: BaseMetric, samples: Sequence[SegDataSample], classes=CLASSES) -> dict:
    metric.dataset_meta = dict(classes=classes)
    for sample in samples:
        metric.process({}, to_dicts([sample]))
    return metric.evaluate(len(samples))


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
        distances = [math.dist((y, x), target) for target in targets]
        if distances:
            nearest = min(distances)
            band[y, x] = nearest < width if boundaries == 'labels' else nearest <= width
    return band


def slow_score(samples, width: int, boundaries: str, level='final', absent=None) -> float:
    field = 'pred_sem_seg' if level == 'final' else f'pred_sem_seg_{level}'
    pairs = []
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        prediction = sample.get(field).data[0].numpy()
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
    metrics = evaluate(metric, samples)
    assert len(metrics) == len(WIDTHS) * (1 + len(LEVELS))
    value = {'skip': None, 'zero': 0.0}[absent]
    for width in WIDTHS:
        for level in ('final', *LEVELS):
            name = f'trimap_mIoU@{width}' + ('' if level == 'final' else f'_{level}')
            expected = slow_score(samples, width, boundaries, level, value)
            assert metrics[name] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


def test_a_scene_counted_by_hand() -> None:
    # Columns 3 and 4 are the boundary; the prediction puts it one column too far to the right.
    label = np.zeros((2, 8), dtype=np.int64)
    label[:, 4:] = 1
    prediction = np.zeros((2, 8), dtype=np.int64)
    prediction[:, 5:] = 1
    metrics = evaluate(TrimapIoUMetric(widths=(1, 2, 4, 100)), [make_sample(prediction, label)],
                       classes=('left', 'right'))
    assert metrics == {
        'trimap_mIoU@1': 25.0,  # (1/2 + 0/1) / 2
        'trimap_mIoU@2': 58.33,  # (2/3 + 1/2) / 2
        'trimap_mIoU@4': 77.5,  # (4/5 + 3/4) / 2
        'trimap_mIoU@100': 77.5,
    }


def test_full_width_is_plain_miou_of_the_images_that_have_boundaries() -> None:
    samples = samples_of_all_kinds()
    metrics = evaluate(TrimapIoUMetric(widths=(10**6, )), samples)
    with_boundaries = [s for s in samples if len(s.gt_sem_seg.data.unique()) > 1]
    assert len(with_boundaries) < len(samples)
    plain = evaluate(LRRIoUMetric(), with_boundaries)
    for level in ('', *(f'_{level}' for level in LEVELS)):
        assert metrics[f'trimap_mIoU@1000000{level}'] == plain[f'mIoU{level}']


def test_no_boundary_in_any_image() -> None:
    label = np.zeros((4, 4), dtype=np.int64)
    metrics = evaluate(TrimapIoUMetric(widths=(1, 50)), [make_sample(label, label)])
    assert all(math.isnan(value) for value in metrics.values())


def test_ignored_pixels_never_count() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(3)]
    before = evaluate(TrimapIoUMetric(widths=WIDTHS), samples)
    for sample in samples:
        ignored = sample.gt_sem_seg.data == VOID
        assert ignored.any()
        prediction = sample.pred_sem_seg.data
        prediction[ignored] = (prediction[ignored] + 1) % len(CLASSES)
    assert evaluate(TrimapIoUMetric(widths=WIDTHS), samples) == before


def test_order_of_widths_and_images_does_not_matter() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(4)]
    expected = evaluate(TrimapIoUMetric(widths=(1, 3, 5)), samples)
    assert evaluate(TrimapIoUMetric(widths=[5, 1, 3]), samples[::-1]) == expected


def test_built_from_a_config_like_any_metric() -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(3)]
    evaluator = Evaluator([
        dict(type='mmseg.IoUMetric'),
        dict(type='mmseg.TrimapIoUMetric', widths=(1, 3, 5), boundaries='labels', prefix='near'),
    ])
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process(samples)
    metrics = evaluator.evaluate(len(samples))
    assert isinstance(evaluator.metrics[1], BaseMetric)
    assert metrics['near/trimap_mIoU@3'] == slow_score(samples, 3, 'labels')
    assert 'mIoU' in metrics


def test_curve_files(tmp_path) -> None:
    samples = [random_sample(number, len(CLASSES)) for number in range(3)]
    csv_path, plot_path = tmp_path / 'new' / 'curve.csv', tmp_path / 'new' / 'curve.png'
    metric = TrimapIoUMetric(widths=(1, 3), csv_path=str(csv_path), plot_path=str(plot_path))
    metrics = evaluate(metric, samples)
    with open(csv_path, newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['width', 'level', 'mIoU']
    assert [row['level'] for row in rows[::2]] == [*LEVELS, 'final']
    for row in rows:
        suffix = '' if row['level'] == 'final' else f'_{row["level"]}'
        assert float(row['mIoU']) == metrics[f'trimap_mIoU@{row["width"]}{suffix}']
    assert len(rows) == len(metrics)
    assert sorted(path.name for path in csv_path.parent.iterdir()) == ['curve.csv', 'curve.png']


def test_two_names_of_one_file(tmp_path) -> None:
    (tmp_path / 'link.png').symlink_to('curve.csv')
    with pytest.raises(ValueError, match='plot_path must be another file than csv_path'):
        TrimapIoUMetric(csv_path=tmp_path / 'curve.csv', plot_path=tmp_path / 'link.png')


def test_plot_has_a_line_a_level(tmp_path) -> None:
    widths = range(1, 41)
    flat = {name: {w: 20.0 * i + 15 for w in widths} for i, name in enumerate(('32x', '8x', '4x'))}
    with_lines, without = tmp_path / 'lines.png', tmp_path / 'none.png'
    plot_trimap_curves(with_lines, flat, 'A title')
    plot_trimap_curves(without, {name: dict.fromkeys(widths, math.nan) for name in flat}, 'A title')
    picture = np.asarray(Image.open(with_lines).convert('RGB')).astype(int)
    assert picture.shape == (720, 960, 3)
    # Flat lines are long runs of one strong colour within a row of pixels.
    coloured = (picture.max(axis=2) - picture.min(axis=2)) > 60
    _, count = ndimage.label(coloured.sum(axis=1) > 500)
    assert count == 3
    empty = np.asarray(Image.open(without).convert('RGB')).astype(int)
    assert not ((empty.max(axis=2) - empty.min(axis=2) > 60).sum(axis=1) > 500).any()


def test_a_failed_write_keeps_the_old_file(tmp_path) -> None:
    path = tmp_path / 'curve.csv'
    write_trimap_csv(path, {'final': {1: 50.0}})
    before = path.read_text()
    with pytest.raises(AttributeError):
        write_trimap_csv(path, {'32x': {1: 20.0}, 'final': None})
    assert path.read_text() == before == 'width,level,mIoU\n1,final,50.0\n'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(('options', 'message'), [
    (dict(widths=(0, )), r'widths\[0\] must be an integer >= 1, got 0'),
    (dict(widths=()), r'widths must be a non-empty list of integers, got \(\)'),
    (dict(widths=3), 'widths must be a non-empty list of integers, got 3'),
    (dict(widths=(1, 2.5)), r'widths\[1\] must be an integer >= 1, got 2.5'),
    (dict(widths=(3, 3)), r'widths must differ from one another, got \(3, 3\)'),
    (dict(boundaries='edges'), "boundaries must be one of 'labels', 'void', got 'edges'"),
    (dict(ignore_index='255'), "ignore_index must be an integer, got '255'"),
    (dict(absent_classes=0), "absent_classes must be one of 'skip', 'zero', got 0"),
])
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
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
