# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pixel counts behind the intersection over union, and the scores made of them.

Counts are int64: a float32 histogram stops counting at 2^24 pixels.
"""

import math

import numpy as np


def class_areas(prediction: np.ndarray, label: np.ndarray, group: np.ndarray, num_classes: int,
                num_groups: int) -> np.ndarray:
    """Count the pixels of each class in prediction, label and both, for each group of pixels.

    Args:
        prediction: Class of each pixel, integers in ``[0, num_classes)``, any shape; also
            ``num_classes`` where a pixel is not to be counted.
        label: True class of each pixel, likewise.
        group: Group of each pixel, integers in ``[0, num_groups]``, same shape. Pixels of group
            ``num_groups`` are not counted.
        num_classes: Number of classes, C.
        num_groups: Number of groups, G.

    Returns:
        int64 array of shape ``(G, 3, C)``: pixels that are of the class in both, in the
        prediction, and in the label.
    """
    # One confusion matrix per group, by one histogram. Small integers are quickest.
    shape = (num_groups, num_classes, num_classes)
    size = math.prod(shape)
    key = group.astype(np.min_scalar_type(size + (num_classes + 1)**2))
    for item in (label, prediction):
        key *= num_classes
        np.add(key, item, out=key, casting='unsafe')
    confusion = np.bincount(key.ravel(), minlength=size)[:size].reshape(shape)
    agreed = confusion.diagonal(axis1=1, axis2=2)
    return np.stack([agreed, confusion.sum(axis=1), confusion.sum(axis=2)], axis=1)


def cumulative_areas(classes: np.ndarray, group: np.ndarray, num_classes: int, num_groups: int
                     ) -> np.ndarray:
    """Count the pixels of each class in each group and those before it, int64 ``(G, C)``.

    Arguments are those of :func:`class_areas`.
    """
    counted = group < num_groups
    key = group[counted].astype(np.int64) * num_classes + classes[counted]
    areas = np.bincount(key, minlength=num_groups * num_classes)
    return areas.reshape(num_groups, num_classes).cumsum(axis=0)


def intersection_over_union(areas: np.ndarray) -> np.ndarray:
    """Divide intersections by unions.

    Args:
        areas: Counts as :func:`class_areas` returns them, shape ``(..., 3, C)``.

    Returns:
        float64 array of shape ``(..., C)``, in [0, 1]; NaN where a class is in neither prediction
        nor label.
    """
    agreed, predicted, labelled = np.moveaxis(np.asarray(areas, dtype=np.float64), -2, 0)
    with np.errstate(invalid='ignore'):
        return agreed / (predicted + labelled - agreed)


def f_score(areas: np.ndarray) -> np.ndarray:
    """Compute the harmonic mean of precision and recall.

    Args:
        areas: Counts of shape ``(..., 4, C)``: pixels of the prediction that are right, all of
            them, pixels of the label that are found, all of them.

    Returns:
        float64 array of shape ``(..., C)``, in [0, 1]; 0 where nothing is right, NaN where a class
        is in neither prediction nor label.
    """
    right, predicted, found, labelled = np.moveaxis(np.asarray(areas, dtype=np.float64), -2, 0)
    # 2 / (1 / P + 1 / R), without dividing by numbers of pixels that may be 0.
    both = right * labelled + found * predicted
    score = 2 * right * found / np.where(both > 0, both, 1)
    return np.where(predicted + labelled > 0, score, np.nan)


def mean_over_classes(values: np.ndarray, absent: float | None = None) -> np.ndarray:
    """Average over the classes.

    Args:
        values: Scores of the classes, shape ``(..., C)``, NaN where undefined.
        absent: What an undefined score counts as; None leaves it out of the mean. The released
            code counts 0, mmseg leaves it out.

    Returns:
        float64 array of shape ``(...)``; NaN where every class is left out.
    """
    if absent is not None:
        values = np.nan_to_num(values, nan=absent)
    return np.ma.filled(np.ma.masked_invalid(values).mean(axis=-1), np.nan)
