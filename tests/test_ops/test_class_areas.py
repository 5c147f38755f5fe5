# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pixel counts against a loop over pixels."""

import numpy as np
import pytest

from mmseg_lrr.ops.class_areas import class_areas, intersection_over_union, mean_over_classes


def slow_areas(prediction, label, group, num_classes, num_groups) -> np.ndarray:
    areas = np.zeros((num_groups, 3, num_classes), dtype=np.int64)
    for p, t, g in zip(prediction.flat, label.flat, group.flat, strict=True):
        if g < num_groups:
            areas[g, 0, t] += p == t
            areas[g, 1, p] += 1
            areas[g, 2, t] += 1
    return areas


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize(('num_classes', 'num_groups'), [(1, 1), (2, 1), (5, 3), (19, 8)])
def test_counts(num_classes: int, num_groups: int, dtype: type) -> None:
    random = np.random.default_rng(0)
    prediction, label = random.integers(0, num_classes, (2, 13, 11)).astype(dtype)
    group = random.integers(0, num_groups + 1, (13, 11)).astype(np.uint8)
    areas = class_areas(prediction, label, group, num_classes, num_groups)
    assert areas.dtype == np.int64
    np.testing.assert_array_equal(
        areas, slow_areas(prediction, label, group, num_classes, num_groups)
    )


def test_counts_are_exact_beyond_float32() -> None:
    size = 2**24 + 3
    prediction = np.ones(size, dtype=np.uint8)
    prediction[0] = 0
    label = np.ones(size, dtype=np.uint8)
    areas = class_areas(prediction, label, np.zeros(size, dtype=np.uint8), 2, 1)
    np.testing.assert_array_equal(areas[0], [[0, size - 1], [1, size - 1], [0, size]])


def test_intersection_over_union() -> None:
    areas = np.array([[3, 0, 0, 0], [4, 2, 0, 0], [5, 0, 6, 0]])
    np.testing.assert_array_equal(intersection_over_union(areas), [0.5, 0.0, 0.0, np.nan])


def test_mean_skips_or_counts_undefined_figures() -> None:
    values = np.array([[0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_over_classes(values), [0.75, np.nan])
    np.testing.assert_array_equal(mean_over_classes(values, absent=0.0), [0.5, 0.0])
