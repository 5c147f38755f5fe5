# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A title is never cut off."""

import pytest

from mmseg_lrr.evaluation.figure import new_figure, title_figure


@pytest.mark.parametrize('length', [5, 30, 60, 120])
def test_title_fits_and_is_no_smaller_than_it_has_to_be(length: int) -> None:
    figure = new_figure(4.6, 3.7)
    title_figure(figure, 'w' * length)
    figure.canvas.draw()
    (title, ) = figure.texts
    box = title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    # Letters have whole pixels: of 120 in 690 pixels, five each.
    assert title.get_fontsize() == 12 or box.width >= 600
    assert (title.get_fontsize() == 12) == (length < 40)
