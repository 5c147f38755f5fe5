# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Sheets show what they say, pixel for pixel, in the right places."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from mmseg_lrr.visualization.panels import (
    draw_errors,
    draw_levels,
    draw_masks,
    draw_sheet,
    fade,
    paint,
    paint_values,
    save_png,
)

from ..drawing import CELL_WIDTH, CLASSES, HEIGHT, PALETTE, WIDTH, example, painted, the_place


def test_every_class_has_its_colour_and_all_else_is_white() -> None:
    labels = np.array([[0, 1, 255], [2, 0, 77], [1, 300, 3]])
    np.testing.assert_array_equal(paint(labels, PALETTE), painted(labels))
    # Another index may be the one that does not count.
    assert paint(labels, PALETTE, ignore_index=1)[0, 1].tolist() == [255, 255, 255]


def test_levels_stand_beside_image_and_truth_in_order() -> None:
    first, second = example(0), example(1, labels=False)
    sheet = draw_levels([first, second], CLASSES, PALETTE, cell_width=CELL_WIDTH)
    outputs = [[painted(labels) for labels in item.predictions.values()]
               for item in (first, second)]
    above = [the_place(sheet, picture)
             for picture in (first.image, painted(first.labels), *outputs[0])]
    below = [the_place(sheet, picture) for picture in (second.image, *outputs[1])]
    (top, ), (bottom, ) = ({row for row, _ in places} for places in (above, below))
    assert top < bottom
    lefts = [left for _, left in above]
    assert lefts == sorted(set(lefts))
    # The place of the ground truth stays empty.
    assert [left for _, left in below] == [lefts[0], *lefts[2:]]
    assert (sheet[bottom:bottom + HEIGHT, lefts[1]:lefts[1] + WIDTH] == 255).all()
    # The legend has the colours of the classes.
    for colour in PALETTE:
        assert (sheet[bottom + HEIGHT:] == colour).all(axis=2).sum() > 50


@pytest.mark.parametrize('labelled', [True, False])
def test_masks_stand_below_their_levels_and_changes_below_them(labelled: bool) -> None:
    item = example(masks=2, labels=labelled)
    sheet = draw_masks([item], CLASSES, PALETTE, mask_names=['road', 'car'],
                       cell_width=CELL_WIDTH)
    viridis = np.array(matplotlib.colormaps['viridis'].colors) * 255
    for coarse, fine in (('32x', '16x'), ('16x', '8x')):
        before, after = item.predictions[coarse], item.predictions[fine]
        changes = fade(item.image)
        for place in map(tuple, np.argwhere(before != after)):
            old, new = before[place], after[place]
            right = item.labels[place] if labelled else new
            if right != 255:
                changes[place] = ((33, 102, 172) if new == right
                                  else (215, 48, 31) if old == right else (253, 187, 40))
        places = [the_place(sheet, painted(after)), *(
            the_place(sheet, viridis[np.minimum((mask * 256).astype(int), 255)].round(), within=1)
            for mask in item.masks[fine]), the_place(sheet, changes)]
        rows, columns = zip(*places, strict=True)
        assert len(set(columns)) == 1 and list(rows) == sorted(set(rows))


def test_unmasked_networks_have_changes_too_and_others_need_levels() -> None:
    item = example(labels=False, masks=0)
    changes = fade(item.image)
    changes[item.predictions['32x'] != item.predictions['16x']] = (33, 102, 172)
    the_place(draw_masks([item], CLASSES, PALETTE, cell_width=CELL_WIDTH), changes)
    del item.predictions['32x'], item.predictions['16x']
    with pytest.raises(ValueError, match="the network has the outputs .'8x', 'ms', 'ms-crf'"):
        draw_masks([item], CLASSES, PALETTE)


def test_errors_are_marked_in_the_band_and_elsewhere() -> None:
    item = example()
    sheet = draw_errors([item], CLASSES, PALETTE, width=2, cell_width=CELL_WIDTH)
    points = np.array(list(np.ndindex(HEIGHT, WIDTH)))
    labels = np.pad(item.labels, 1, mode='edge')
    boundary = np.array([
        (row, column) for row, column in points
        if any(labels[row + 1 + y, column + 1 + x] != item.labels[row, column]
               for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)))])
    band = (cdist(points, boundary).min(axis=1) < 2).reshape(HEIGHT, WIDTH)
    assert band.any() and not band.all()
    faded = fade(item.image)
    lefts = [the_place(sheet, painted(item.labels))[1]]
    for predicted in item.predictions.values():
        expected = np.where(
            band[..., None], (.2 * faded + .8 * np.array((146, 197, 222))).astype(int), faded)
        wrong = predicted != item.labels
        expected[wrong & band], expected[wrong & ~band] = (230, 97, 1), (190, 20, 40)
        expected[item.labels == 255] = 255
        lefts.append(the_place(sheet, expected)[1])
    assert lefts == sorted(lefts)
    with pytest.raises(ValueError, match='errors need ground truth, but made_up_0 has none'):
        draw_errors([example(labels=False)], CLASSES, PALETTE)


def test_pictures_are_enlarged_without_smoothing_and_reduced_by_averaging() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    large = picture.repeat(2, axis=0).repeat(2, axis=1)
    the_place(draw_sheet([[(picture, '')]], [], 2 * WIDTH + 2), large)
    noise = np.random.default_rng(1).integers(-20, 20, (HEIGHT, 2, WIDTH, 2, 1))
    noisy = np.clip(large.reshape(HEIGHT, 2, WIDTH, 2, 3) + noise, 0, 255).astype(np.uint8)
    reduced = draw_sheet([[(noisy.reshape(large.shape), '')]], [], CELL_WIDTH)
    the_place(reduced, noisy.mean(axis=(1, 3)), within=1)


def test_png_is_the_picture(tmp_path: Path) -> None:
    picture = paint_values(np.random.default_rng(0).random((HEIGHT, WIDTH)))
    save_png(tmp_path / 'new' / 'picture.png', picture)
    np.testing.assert_array_equal(Image.open(tmp_path / 'new' / 'picture.png'), picture)
