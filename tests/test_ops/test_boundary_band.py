# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Bands around boundaries against all-pairs distances in whole numbers."""

import numpy as np
import pytest

from mmseg_lrr.ops.boundary_band import (
    band_index,
    boundary_points,
    distance_to,
    inner_band_index,
    label_boundaries,
)

VOID = 255
WIDTHS = (1, 2, 3, 5, 6, 10, 100)


def slow_boundaries(labels: np.ndarray) -> np.ndarray:
    height, width = labels.shape
    marked = np.zeros(labels.shape, dtype=bool)
    for y in range(height):
        for x in range(width):
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                inside = 0 <= y + dy < height and 0 <= x + dx < width
                if inside and labels[y + dy, x + dx] != labels[y, x]:
                    marked[y, x] = True
    return marked


def slow_band(labels: np.ndarray, width: int, boundaries: str) -> np.ndarray:
    targets = slow_boundaries(labels) if boundaries == 'labels' else labels == VOID
    band = np.zeros(labels.shape, dtype=bool)
    for y, x in np.ndindex(labels.shape):
        squares = [(y - v) ** 2 + (x - u) ** 2 for v, u in np.argwhere(targets)]
        if squares and boundaries == 'labels':
            band[y, x] = min(squares) < width**2
        elif squares:
            band[y, x] = labels[y, x] != VOID and min(squares) <= width**2
    return band


def small_maps() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    row = np.array([[0, 0, 0, 1, 1, VOID, VOID, 1, 1, 1, 1, 0]])
    maps = {
        'constant': np.full((5, 7), 2),
        'one pixel': np.array([[1]]),
        'one row': row,
        'one column': row.T,
        'all ignored': np.full((4, 6), VOID),
        'chequers': np.indices((6, 9)).sum(axis=0) % 2,
        'uint8': random.integers(0, 2, (6, 6)).astype(np.uint8),
    }
    # 3-4-5 and 6-8-10 triangles lie exactly on the rim of bands.
    maps['ignored island'] = np.zeros((13, 17), dtype=np.int64)
    maps['ignored island'][6, 8] = VOID
    maps['corner'] = np.zeros((12, 12), dtype=np.int64)
    maps['corner'][0, 0] = 1
    for number in range(3):
        cells = random.choice([0, 1, 2, VOID], size=(4, 5), p=[0.6, 0.2, 0.1, 0.1])
        maps[f'random {number}'] = cells.repeat(number % 3 + 1, axis=0).repeat(3, axis=1)
    return maps


@pytest.mark.parametrize('boundaries', ['labels', 'void'])
def test_bands_equal_all_pairs_distances(boundaries: str) -> None:
    for name, labels in small_maps().items():
        np.testing.assert_array_equal(label_boundaries(labels), slow_boundaries(labels))
        index = band_index(labels, WIDTHS, boundaries)
        for i, width in enumerate(WIDTHS):
            np.testing.assert_array_equal(
                index <= i, slow_band(labels, width, boundaries), f'{name} {width}')


@pytest.mark.parametrize('num_classes', [3, VOID, 1000])
def test_inner_bands_and_points_equal_all_pairs_distances(
        num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Strips of three rows.
    monkeypatch.setattr('mmseg_lrr.ops.boundary_band._STRIP', 3)
    maps = {name: np.where(labels == VOID, num_classes, labels.astype(int) + num_classes - 3)
            for name, labels in small_maps().items()}
    for name, labels in maps.items():
        index = inner_band_index(labels, num_classes, WIDTHS)
        valid = np.argwhere(labels < num_classes)
        for y, x in np.ndindex(labels.shape):
            squares = [(y - v)**2 + (x - u)**2 for v, u in valid if labels[v, u] != labels[y, x]]
            nearest = min(squares, default=10**9) if labels[y, x] < num_classes else 10**9
            assert index[y, x] == sum(width**2 < nearest for width in WIDTHS), f'{name} {y} {x}'
        points = boundary_points(labels, num_classes)
        np.testing.assert_array_equal(points[:, :2], np.argwhere(index == 0))
        np.testing.assert_array_equal(points[:, 2], labels[index == 0])


def test_no_boundary_gives_empty_bands_however_wide() -> None:
    index = band_index(np.zeros((3, 4), dtype=np.int64), (1, 10**6))
    np.testing.assert_array_equal(index, np.full((3, 4), 2))
    assert np.isinf(distance_to(np.zeros((3, 4), dtype=bool))).all()


def test_another_ignore_index_moves_the_void_region() -> None:
    labels = small_maps()['ignored island']
    expected = band_index(labels, WIDTHS, 'void')
    moved = np.where(labels == VOID, 7, labels)
    np.testing.assert_array_equal(band_index(moved, WIDTHS, 'void', ignore_index=7), expected)


def test_many_widths_do_not_overflow_the_index() -> None:
    labels = np.zeros((1, 600), dtype=np.int64)
    labels[0, 0] = 1
    # Pixels 0 and 1 are the boundary, so pixel x is x - 1 away and first in the band of width x.
    index = band_index(labels, tuple(range(1, 401)))
    np.testing.assert_array_equal(index[0], np.clip(np.arange(600) - 1, 0, 400))
    np.testing.assert_array_equal(band_index(labels, ()), np.zeros((1, 600)))


def test_exact_up_to_the_width_the_documentation_names() -> None:
    labels = np.zeros((900, 900), dtype=np.uint8)
    labels[0, 0] = VOID
    y, x = np.indices(labels.shape)
    to_void = y**2 + x**2
    # The corner and its two neighbours are the boundary.
    to_boundary = np.minimum(np.minimum((y - 1)**2 + x**2, y**2 + (x - 1)**2), to_void)
    widths = (*range(5, 800, 53), 800)
    by_labels, by_void = (band_index(labels, widths, name) for name in ('labels', 'void'))
    for i, width in enumerate(widths):
        np.testing.assert_array_equal(by_labels <= i, to_boundary < width**2)
        np.testing.assert_array_equal(by_void <= i, (to_void <= width**2) & (to_void > 0))
