# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Curves come back from their files; plots show the numbers that they were given."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mmseg_lrr.visualization import plots
from mmseg_lrr.visualization.plots import (
    plot_bases,
    plot_trimap_curves,
    plot_trimap_runs,
    read_trimap_csv,
    write_trimap_csv,
)

CURVES = {'32x': {1: 10.5, 3: 20.}, '4x': {1: 15., 3: 25.25}, 'ms': {1: 16., 3: math.nan}}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    turned = {level: {width: -score for width, score in curve.items()}
              for level, curve in CURVES.items()}
    write_trimap_csv(tmp_path / 'a.csv', {'boundary_mF': turned, 'mIoU': CURVES})
    assert (tmp_path / 'a.csv').read_text().startswith(
        'width,level,boundary_mF,mIoU\n1,32x,-10.5,10.5\n')
    assert read_trimap_csv(tmp_path / 'a.csv', 'boundary_mF')['4x'] == turned['4x']
    with pytest.raises(ValueError, match="measure of .*a.csv must be one of 'boundary_mF', 'mIoU'"):
        read_trimap_csv(tmp_path / 'a.csv', 'boundary_mIoU')
    read = read_trimap_csv(tmp_path / 'a.csv')
    assert list(read) == list(CURVES) and math.isnan(read['ms'].pop(3))
    assert read == {'32x': {1: 10.5, 3: 20.}, '4x': {1: 15., 3: 25.25}, 'ms': {1: 16.}}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are made."""
    made: list[Figure] = []
    monkeypatch.setattr(
        plots, 'Figure', lambda **options: made.append(Figure(**options)) or made[-1])
    return made


def test_runs_stand_together_in_a_panel_for_each_level(tmp_path: Path, figures: list) -> None:
    other = {'4x': {1: 18., 3: 28.}, '8x': {1: 11., 3: 12.}}
    plot_trimap_runs(
        tmp_path / 'plot.png', {'first': CURVES, 'second': other}, measure='boundary_mF')
    (figure, ) = figures
    assert figure.get_supylabel() == 'mean boundary F (%)'
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ['32x', '4x', 'ms', '8x']
    first, second = panels['4x'].lines
    assert list(first.get_ydata()) == [15., 25.25] and list(second.get_ydata()) == [18., 28.]
    # A run that lacks a level keeps its colour in the other panels.
    assert [list(line.get_xdata()) for line in panels['8x'].lines] == [[], [1, 3]]
    assert panels['8x'].lines[1].get_color() == second.get_color() != first.get_color()
    assert [text.get_text() for text in figure.legends[0].texts] == ['first', 'second']
    assert all(axes.get_ylim() == panels['4x'].get_ylim() for axes in panels.values())


def test_one_run_is_one_panel_and_levels_can_be_chosen(tmp_path: Path, figures: list) -> None:
    plot_trimap_curves(tmp_path / 'plot.png', CURVES, 'run')
    assert Image.open(tmp_path / 'plot.png').size == (960, 720)
    plot_trimap_runs(tmp_path / 'plot.png', {'run': CURVES}, ['4x', '32x'])
    for figure, levels in zip(figures, (['32x', '4x', 'ms'], ['4x', '32x']), strict=True):
        (axes, ) = figure.axes
        assert axes.get_title() == 'run'
        assert [line.get_label() for line in axes.lines] == levels
    with pytest.raises(ValueError, match="levels must be one of '32x', '4x', 'ms', got '2x'"):
        plot_trimap_runs(tmp_path / 'plot.png', {'run': CURVES}, ['2x', '4x'])


def test_bases_share_one_scale_about_zero(tmp_path: Path) -> None:
    # Constant functions, so that a cell has one colour.
    values = np.array([[2., -2., 0.], [1., -1., .5]])
    plot_bases(tmp_path / 'bases.png', np.ones((2, 3, 8, 8)) * values[:, :, None, None],
               ['sky', 'road'], 'title')
    picture = np.asarray(Image.open(tmp_path / 'bases.png').convert('RGB')).astype(int)
    places = {}
    for value in values.ravel():
        colour = np.array(matplotlib.colormaps['RdBu_r'](.5 + value / 4)[:3]) * 255
        alike = (np.abs(picture - colour) < 3).all(axis=2)
        # The colour scale has less of a colour than a cell.
        rows, columns = np.flatnonzero(alike.sum(1) > 25), np.flatnonzero(alike.sum(0) > 25)
        places[value] = rows.mean().round(), columns.mean().round()
    # Rows are classes, columns are functions.
    for row in values:
        assert len({places[value][0] for value in row}) == 1
    for column in values.T:
        assert len({places[value][1] for value in column}) == 1
    assert places[2.][0] < places[1.][0] and places[2.][1] < places[-2.][1] < places[0.][1]
