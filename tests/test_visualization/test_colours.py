# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Labels and values become the colours that they should, pixel by pixel."""

import matplotlib
import numpy as np

from mmseg_lrr.visualization.colours import class_keys, fade, paint, paint_values

from .drawing import CLASSES, PALETTE, painted


def test_every_class_has_its_colour_and_all_else_is_white() -> None:
    labels = np.array([[0, 1, 255], [2, 0, 77], [1, 300, 3]])
    np.testing.assert_array_equal(paint(labels, PALETTE), painted(labels))
    # Another index may be the one that does not count.
    assert paint(labels, PALETTE, ignore_index=1)[0, 1].tolist() == [255, 255, 255]


def test_values_are_on_the_scale() -> None:
    values = np.array([[0, .25], [.5, 1.]])
    found = paint_values(values)
    for place in np.ndindex(values.shape):
        expected = np.array(matplotlib.colormaps['viridis'](values[place])[:3]) * 255
        np.testing.assert_allclose(found[place], expected, atol=1)


def test_faded_photograph_is_grey_and_apart_from_white_and_black() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    faded = fade(image)
    assert (faded == faded[..., :1]).all()
    assert 120 < faded.min() < faded.max() < 235
    order = np.argsort(image.astype(float).mean(axis=2), axis=None)
    assert (np.diff(faded[..., 0].ravel()[order].astype(int)) >= 0).all()


def test_legend_has_the_classes_that_occur() -> None:
    road, sky = np.ones((4, 4), int), np.zeros((4, 4), int)
    assert class_keys([road, sky], CLASSES, PALETTE) == [('sky', PALETTE[0]), ('road', PALETTE[1])]
    road[0, 0] = 255
    assert class_keys([road], CLASSES, PALETTE) == [
        ('road', PALETTE[1]), ('ignored', (255, 255, 255))]
