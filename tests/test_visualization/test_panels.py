# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Painted labels pixel by pixel; the panel as a file that holds what was asked for."""

import cv2
import numpy as np

from mmseg_lrr.visualization import level_panel, paint

CLASSES = ('sky', 'road')
PALETTE = [[10, 200, 30], [240, 20, 60]]


def example(with_labels: bool) -> dict:
    labels = np.zeros((40, 60), np.uint8)
    labels[20:] = 1
    labels[:5] = 255
    return {
        'image': np.full((40, 60, 3), 128, np.uint8),
        'labels': labels if with_labels else None,
        'levels': {'32x': labels * 0, '16x': labels},
        'masks': {'16x': np.linspace(0, 1, 40 * 60).reshape(40, 60)},
    }


def test_every_class_has_its_colour_and_ignored_pixels_are_white():
    labels = np.array([[0, 1, 255], [1, 0, 1]])
    painted = paint(labels, PALETTE)
    for row in range(2):
        for column in range(3):
            label = labels[row, column]
            expected = (255, 255, 255) if label == 255 else tuple(PALETTE[label])
            assert tuple(painted[row, column]) == expected


def count_colour(picture: np.ndarray, rgb: list[int]) -> int:
    return int((picture == np.array(rgb[::-1])).all(axis=2).sum())


def test_panel_shows_labels_in_their_colours_and_grows_with_the_rows(tmp_path):
    level_panel(tmp_path / 'one.png', [example(True)], CLASSES, PALETTE)
    level_panel(tmp_path / 'two.png', [example(True), example(False)], CLASSES, PALETTE)
    one, two = (cv2.imread(str(tmp_path / name)) for name in ('one.png', 'two.png'))
    assert two.shape[0] > 1.5 * one.shape[0]
    # Ground truth and the 16x level show road; a row without labels shows it in the level alone.
    # The legend's patch is the same in both.
    assert count_colour(one, PALETTE[1]) > 1000
    assert count_colour(one, PALETTE[1]) < count_colour(two, PALETTE[1])
    assert count_colour(two, PALETTE[1]) < 1.8 * count_colour(one, PALETTE[1])
    assert sorted(file.name for file in tmp_path.iterdir()) == ['one.png', 'two.png']
