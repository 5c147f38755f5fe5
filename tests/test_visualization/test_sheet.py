# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures stand in a sheet pixel for pixel, in order; text, legend and scale have their room."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from mmseg_lrr.visualization.sheet import Cell, ColourBar, Row, draw_sheet, save_png

from .drawing import CELL_WIDTH, HEIGHT, WIDTH, the_place


def pictures(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count)]


def test_pictures_stand_in_rows_and_columns_as_they_are() -> None:
    a, b, c, d = pictures(4)
    sheet = draw_sheet([Row([Cell(a), None, Cell(b, 'title')], 'heading'),
                        Row([None, Cell(c), Cell(d, 'title', 'note')])], cell_width=CELL_WIDTH)
    tops, lefts = zip(*(the_place(sheet, picture) for picture in (a, b, c, d)), strict=True)
    assert tops[0] == tops[1] < tops[2] == tops[3]
    assert lefts[0] < lefts[2] < lefts[1] == lefts[3]
    # An empty place is as wide as the others.
    assert lefts[1] - lefts[2] == lefts[2] - lefts[0] >= CELL_WIDTH
    # The rest is white but for the text.
    for top, left in zip(tops, lefts, strict=True):
        sheet[top - 1:top + HEIGHT + 1, left - 1:left + WIDTH + 1] = 255
    assert (sheet[tops[0]:tops[0] + HEIGHT] == 255).all()
    assert (sheet[:tops[0]] < 128).any()


def test_pictures_are_enlarged_without_smoothing_and_reduced_by_averaging() -> None:
    picture = pictures(1)[0]
    large = draw_sheet([Row([Cell(picture)])], cell_width=2 * WIDTH + 2)
    the_place(large, picture.repeat(2, axis=0).repeat(2, axis=1))
    small = draw_sheet([Row([Cell(picture.repeat(3, axis=0).repeat(3, axis=1))])],
                       cell_width=CELL_WIDTH)
    the_place(small, picture)


def bar_colours(sheet: np.ndarray) -> np.ndarray:
    """A column through the colour bar: its coloured pixels from the top.

    The first and last few are mixed with its frame.
    """
    coloured = np.ptp(sheet.astype(int), axis=2) > 30
    column = int(np.flatnonzero(coloured.sum(axis=0) > 20)[-4])
    return sheet[coloured[:, column], column]


def test_scale_runs_from_low_at_the_bottom_to_high_at_the_top() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    sheet = draw_sheet([Row([Cell(grey)])] * 4, bar=ColourBar('viridis', 0, 1, 'mask'),
                       cell_width=CELL_WIDTH)
    colours = bar_colours(sheet).astype(int)
    expected = matplotlib.colormaps['viridis'](np.linspace(1, 0, len(colours)), bytes=True)[:, :3]
    np.testing.assert_allclose(colours[3:-3], expected.astype(int)[3:-3], atol=12)
    assert sheet.shape[1] > draw_sheet([Row([Cell(grey)])], cell_width=CELL_WIDTH).shape[1]


def test_scale_is_repeated_on_a_tall_sheet() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    top = np.array(matplotlib.colormaps['viridis'](255, bytes=True)[:3])
    for rows, bars in ((10, 1), (48, 2), (72, 3)):
        sheet = draw_sheet([Row([Cell(grey)])] * rows, bar=ColourBar('viridis', 0, 1, 'mask'),
                           cell_width=CELL_WIDTH)
        ends = (np.abs(sheet.astype(int) - top).max(axis=2) <= 2).sum(axis=1) > 8
        assert int((np.diff(ends.astype(int)) == 1).sum()) == bars


def test_lines_of_a_legend_are_of_one_length() -> None:
    colours = [(250, 20 * number, 0) for number in range(12)]
    sheet = draw_sheet([Row([Cell(pictures(1)[0])])], cell_width=520,
                       legends=[[(f'class {number}', colour)
                                 for number, colour in enumerate(colours)]])
    lefts = [int(np.flatnonzero((sheet == colour).all(axis=2).any(axis=0))[0])
             for colour in colours]
    columns = {left: lefts.count(left) for left in lefts}
    # Five columns would fit, two of them longer than the others.
    assert columns == dict.fromkeys(columns, 3) and len(columns) == 4


def test_legend_breaks_its_lines_where_the_sheet_ends() -> None:
    picture = pictures(1)[0]
    keys = [(f'a class with a long name {number}', (250, 10 * number, 0)) for number in range(9)]
    bare = draw_sheet([Row([Cell(picture)])], cell_width=300)
    one = draw_sheet([Row([Cell(picture)])], legends=[keys[:1]], cell_width=300)
    many = draw_sheet([Row([Cell(picture)])], legends=[keys, keys[:1]], cell_width=300)
    assert bare.shape[1] == one.shape[1] == many.shape[1]
    line = len(one) - len(bare)
    assert 0 < 6 * line < len(many) - len(bare)
    for number, (_, colour) in enumerate(keys):
        count = int((many == colour).all(axis=2).sum())
        assert count > 50, number
        if number:
            assert count < 2 * int((one == keys[0][1]).all(axis=2).sum())


def test_long_text_keeps_to_its_picture() -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    sheet = draw_sheet([Row([None, Cell(grey, 'a very long title indeed', 'and a longer note'),
                             None])], cell_width=80)
    dark = np.flatnonzero((sheet < 100).any(axis=(0, 2)))
    # The second of three places of 80 pixels.
    assert 12 + 88 - 3 <= dark.min() and dark.max() <= 12 + 168 + 3


def test_png_is_written_whole(tmp_path: Path) -> None:
    picture = pictures(1)[0]
    save_png(tmp_path / 'new' / 'picture.png', picture)
    read = cv2.imread(str(tmp_path / 'new' / 'picture.png'))[..., ::-1]
    np.testing.assert_array_equal(read, picture)
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['picture.png']


def test_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match='cell_width must be an integer >= 40, got 10'):
        draw_sheet([Row([Cell(pictures(1)[0])])], cell_width=10)
