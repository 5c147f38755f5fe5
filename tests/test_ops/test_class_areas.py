# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pixel counts against a loop over pixels."""

import numpy as np
import pytest

from mmseg_lrr.ops.class_areas import class_areas, intersection_over_union, mean_over_classes


@pytest.mark.parametrize(('num_classes', 'num_groups', 'dtype'), [
    (1, 1, np.uint8), (5, 3, np.int64), (19, 8, np.uint8)])
def test_counts(num_classes: int, num_groups: int, dtype: type) -> None:
    random = np.random.default_rng(0)
    prediction, label = random.integers(0, num_classes, (2, 13, 11)).astype(dtype)
    group = random.integers(0, num_groups + 1, (13, 11)).astype(np.uint8)
    expected = np.zeros((num_groups, 3, num_classes), dtype=np.int64)
    for p, t, g in zip(prediction.flat, label.flat, group.flat, strict=True):
        if g < num_groups:
            expected[g, 0, t] += p == t
            expected[g, 1, p] += 1
            expected[g, 2, t] += 1
    areas = class_areas(prediction, label, group, num_classes, num_groups)
    assert areas.dtype == np.int64
    np.testing.assert_array_equal(areas, expected)


def test_intersection_over_union() -> None:
    areas = np.array([[3, 0, 0, 0], [4, 2, 0, 0], [5, 0, 6, 0]])
    np.testing.assert_array_equal(intersection_over_union(areas), [0.5, 0.0, 0.0, np.nan])


def test_mean_skips_or_counts_undefined_scores() -> None:
    values = np.array([[0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_over_classes(values), [0.75, np.nan])
    np.testing.assert_array_equal(mean_over_classes(values, absent=0.0), [0.5, 0.0])
    np.testing.assert_array_equal(mean_over_classes(values[1]), np.nan)
