# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Strips, masks, errors and bases show what they say, in the right places."""

import matplotlib
import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist

from mmseg_lrr.visualization import draw_bases, draw_errors, draw_levels, draw_masks
from mmseg_lrr.visualization.colours import fade

from .drawing import (
    CELL_WIDTH,
    CLASSES,
    HEIGHT,
    PALETTE,
    WIDTH,
    example,
    painted,
    the_place,
)


def test_strip_shows_image_truth_and_every_output_in_order() -> None:
    first, second = example(0), example(1, labels=False)
    sheet = draw_levels([first, second], CLASSES, PALETTE, cell_width=CELL_WIDTH)
    pictures = [first.image, painted(first.labels),
                *(painted(item) for item in first.predictions.values())]
    tops, lefts = zip(*(the_place(sheet, picture) for picture in pictures), strict=True)
    assert len(set(tops)) == 1 and list(lefts) == sorted(set(lefts))
    pictures = [second.image, *(painted(item) for item in second.predictions.values())]
    below, below_lefts = zip(*(the_place(sheet, picture) for picture in pictures), strict=True)
    assert len(set(below)) == 1 and below[0] > tops[0]
    # The place of the ground truth stays empty.
    assert below_lefts == (lefts[0], *lefts[2:])
    hole = sheet[below[0]:below[0] + HEIGHT, lefts[1]:lefts[1] + WIDTH]
    assert (hole == 255).all()


def test_strip_without_any_truth_has_no_place_for_it() -> None:
    with_truth, without = (
        draw_levels([example(labels=labels)], CLASSES, PALETTE, cell_width=CELL_WIDTH)
        for labels in (True, False))
    assert with_truth.shape[1] - without.shape[1] >= CELL_WIDTH


def value_picture(values: np.ndarray) -> np.ndarray:
    colours = np.array(matplotlib.colormaps['viridis'].colors)
    return np.round(colours[np.minimum((values * 256).astype(int), 255)] * 255).astype(np.uint8)


def test_masks_stand_below_their_levels_and_changes_below_them() -> None:
    item = example(masks=2)
    sheet = draw_masks([item], CLASSES, PALETTE, mask_names=['road', 'car'],
                       cell_width=CELL_WIDTH)
    faded = fade(item.image)
    for coarse, fine in (('32x', '16x'), ('16x', '8x')):
        level = the_place(sheet, painted(item.predictions[fine]))
        masks = [_near(sheet, value_picture(mask), level[1]) for mask in item.masks[fine]]
        before, after, truth = item.predictions[coarse], item.predictions[fine], item.labels
        changes = faded.copy()
        for place in np.ndindex(truth.shape):
            old, new, right = before[place], after[place], truth[place]
            if old == new or right == 255:
                continue
            changes[place] = ((33, 102, 172) if new == right
                              else (215, 48, 31) if old == right else (253, 187, 40))
        changed = the_place(sheet, changes)
        assert changed[1] == level[1]
        assert level[0] < masks[0] < masks[1] < changed[0]


def _near(sheet: np.ndarray, picture: np.ndarray, left: int) -> int:
    """The row where a column of the sheet shows a picture, within one step of rounding."""
    strip = sheet[:, left:left + WIDTH].astype(int)
    (row, ) = [row for row in range(len(strip) - HEIGHT + 1)
               if np.abs(strip[row:row + HEIGHT] - picture).max() <= 1]
    return row


def test_masks_without_truth_show_what_changed_and_need_levels() -> None:
    item = example(labels=False)
    sheet = draw_masks([item], CLASSES, PALETTE, cell_width=CELL_WIDTH)
    changes = fade(item.image)
    changes[item.predictions['32x'] != item.predictions['16x']] = (33, 102, 172)
    the_place(sheet, changes)
    # An unmasked network has changes too.
    bare = draw_masks([example(labels=False, masks=0)], CLASSES, PALETTE, cell_width=CELL_WIDTH)
    the_place(bare, changes)
    assert bare.shape[1] < sheet.shape[1]
    item.predictions.pop('32x')
    item.predictions.pop('16x')
    with pytest.raises(ValueError, match="the network has the outputs .'8x', 'ms', 'ms.crf'"):
        draw_masks([item], CLASSES, PALETTE)


def near_boundary(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels less than ``width`` from one that has a neighbour of another label."""
    rows, columns = labels.shape
    boundary = [
        (row, column) for row, column in np.ndindex(rows, columns)
        if any(0 <= row + y < rows and 0 <= column + x < columns
               and labels[row + y, column + x] != labels[row, column]
               for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)))]
    points = np.array(list(np.ndindex(rows, columns)))
    return (cdist(points, np.array(boundary)).min(axis=1) < width).reshape(rows, columns)


def test_errors_are_marked_in_the_band_and_elsewhere() -> None:
    item = example()
    sheet = draw_errors([item], CLASSES, PALETTE, width=2, cell_width=CELL_WIDTH)
    band = near_boundary(item.labels, 2)
    assert band.any() and not band.all()
    faded = fade(item.image)
    lefts = []
    for output, predicted in item.predictions.items():
        expected = faded.copy()
        for place in np.ndindex(band.shape):
            if item.labels[place] == 255:
                expected[place] = 255
            elif predicted[place] != item.labels[place]:
                expected[place] = (230, 97, 1) if band[place] else (190, 20, 40)
            elif band[place]:
                expected[place] = [
                    int(.2 * grey + .8 * colour)
                    for grey, colour in zip(faded[place], (146, 197, 222), strict=True)]
        lefts.append(the_place(sheet, expected)[1])
        assert output
    assert lefts == sorted(lefts)
    assert the_place(sheet, painted(item.labels))[1] < lefts[0]
    # Below it the legends name the ground truth's colours.
    below = sheet[the_place(sheet, item.image)[0] + HEIGHT:]
    for label in set(item.labels.ravel().tolist()) - {255}:
        assert (below == PALETTE[label]).all(axis=2).sum() > 50


def test_errors_need_truth() -> None:
    with pytest.raises(ValueError, match='errors need ground truth, but made_up_0 has none'):
        draw_errors([example(labels=False)], CLASSES, PALETTE)
    with pytest.raises(ValueError, match='width must be an integer >= 1, got 0'):
        draw_errors([example()], CLASSES, PALETTE, width=0)


def test_bases_share_one_scale_about_zero() -> None:
    # Constant functions, so that a cell has one colour.
    values = np.array([[2., -2., 0.], [1., -1., .5]])
    sheet = draw_bases(np.ones((2, 3, 8, 8)) * values[:, :, None, None], ['sky', 'road'])
    colour_map = matplotlib.colormaps['RdBu_r']
    found = {}
    for value in values.ravel():
        colour = np.array(colour_map(.5 + value / 4)[:3]) * 255
        alike = (np.abs(sheet - colour) < 3).all(axis=2)
        # Cells are much larger than what the scale has of a colour.
        cells = uniform_filter(alike.astype(float), 40, mode='constant') > 1 - 1e-9
        found[value] = np.argwhere(cells)
        assert len(found[value]), value
    first = {value: tuple(place[0]) for value, place in found.items()}
    # Rows are classes, columns are functions.
    assert first[2.][0] == first[-2.][0] == first[0.][0] < first[1.][0] == first[-1.][0]
    assert first[2.][1] == first[1.][1] < first[-2.][1] == first[-1.][1] < first[.5][1]


def test_bases_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r'bases must be \(3, K, H, W\), .* of shape \(2, 3, 8, 8'):
        draw_bases(np.zeros((2, 3, 8, 8)), CLASSES)
