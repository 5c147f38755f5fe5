# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Data samples for the metrics' tests, and mean IoU by a loop over pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

VOID = 255
LEVELS = ('32x', '16x', '8x', '4x')


def make_sample(
    prediction: np.ndarray,
    label: np.ndarray | None,
    levels: dict[str, np.ndarray] | None = None,
    **meta,
) -> SegDataSample:
    """Build what a segmentor gives for one image."""
    sample = SegDataSample(metainfo=meta)
    sample.pred_sem_seg = PixelData(data=torch.from_numpy(prediction)[None])
    if label is not None:
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(label)[None])
    for level, values in (levels or {}).items():
        sample.set_field(PixelData(data=torch.from_numpy(values)[None]), f'pred_sem_seg_{level}')
    return sample


def random_sample(number: int, num_classes: int, with_levels: bool = True) -> SegDataSample:
    """Make an image of blobs with void pixels and predictions of it that are often wrong."""
    random = np.random.default_rng(number)
    height, width = (int(n) for n in random.integers(4, 16, size=2))
    cells = random.choice([*range(num_classes), VOID], size=(height // 3 + 1, width // 3 + 1))
    label = cells.repeat(3, axis=0).repeat(3, axis=1)[:height, :width].astype(np.int64)

    def guess(wrong: float) -> np.ndarray:
        noise = random.integers(0, num_classes, size=label.shape)
        return np.where((random.random(label.shape) < wrong) | (label == VOID), noise, label)

    levels = {name: guess(0.7 - 0.15 * i) for i, name in enumerate(LEVELS)} if with_levels else {}
    # Not in order: what the metrics report must not depend on it.
    levels = dict(reversed(levels.items()))
    return make_sample(guess(0.2), label, levels, img_path=f'images/{number}.jpg')


def evaluate(metric: BaseMetric, samples: Sequence[SegDataSample], classes: Sequence[str]) -> dict:
    """Do what mmengine's Evaluator does, two images at a time."""
    metric.dataset_meta = dict(classes=classes)
    for start in range(0, len(samples), 2):
        metric.process({}, [sample.to_dict() for sample in samples[start:start + 2]])
    return metric.evaluate(len(samples))


def slow_confusion(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], num_classes: int
) -> np.ndarray:
    """Count (label, prediction) pairs of the pixels that are kept and not void.

    Args:
        pairs: Prediction, label and the pixels to keep (boolean) of each image.
        num_classes: Number of classes.
    """
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    for prediction, label, kept in pairs:
        for p, t, k in zip(prediction.flat, label.flat, kept.flat, strict=True):
            if k and t != VOID:
                confusion[t, p] += 1
    return confusion


def slow_miou(confusion: np.ndarray, absent: float | None = None) -> float:
    """Mean IoU in percent with two decimals, from a confusion matrix."""
    scores = []
    for c in range(len(confusion)):
        hits = confusion[c, c]
        union = confusion[c].sum() + confusion[:, c].sum() - hits
        if union:
            scores.append(hits / union)
        elif absent is not None:
            scores.append(absent)
    return round(100 * sum(scores) / len(scores), 2) if scores else float('nan')
