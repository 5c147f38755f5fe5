# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Curves come back from their files, and several runs are drawn panel by panel."""

import math
from pathlib import Path

import cv2
import pytest
from matplotlib.figure import Figure

from mmseg_lrr.evaluation import trimap_curve
from mmseg_lrr.evaluation.trimap_curve import plot_trimap_runs, read_trimap_csv, write_trimap_csv

CURVES = {'32x': {1: 10.5, 3: 20.}, '4x': {1: 15., 3: 25.25}, 'ms': {1: 16., 3: math.nan}}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_trimap_csv(tmp_path / 'a.csv', CURVES)
    read = read_trimap_csv(tmp_path / 'a.csv')
    assert math.isnan(read['ms'].pop(3))
    assert read == {'32x': {1: 10.5, 3: 20.}, '4x': {1: 15., 3: 25.25}, 'ms': {1: 16.}}
    assert list(read) == list(CURVES)


@pytest.mark.parametrize('text, message', [
    ('a,b\n1,2\n', r"must have the columns width,level,mIoU, got \['a', 'b'\]"),
    ('', 'must have the columns width,level,mIoU, got None'),
    ('width,level,mIoU\n', 'holds no curve'),
    ('width,level,mIoU\n1,4x,20\nx,4x,3\n', 'line 3: width must be an integer and mIoU a number'),
    ('width,level,mIoU\n1,4x\n', 'line 2: width must be an integer and mIoU a number'),
])
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trimap_csv(tmp_path / 'a.csv')


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are made."""
    made: list[Figure] = []
    make = trimap_curve.new_figure

    def record(*arguments: float) -> Figure:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(trimap_curve, 'new_figure', record)
    return made


def test_runs_stand_together_in_a_panel_a_level(tmp_path: Path, figures: list[Figure]) -> None:
    other = {'4x': {1: 18., 3: 28.}, '8x': {1: 11., 3: 12.}}
    plot_trimap_runs(tmp_path / 'plot.png', {'first': CURVES, 'second': other})
    (figure, ) = figures
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ['32x', '4x', 'ms', '8x']
    first, second = panels['4x'].lines
    assert list(first.get_ydata()) == [15., 25.25] and list(second.get_ydata()) == [18., 28.]
    # A run that lacks a level keeps its colour in the other panels.
    assert [list(line.get_xdata()) for line in panels['8x'].lines] == [[], [1, 3]]
    assert panels['8x'].lines[1].get_color() == second.get_color() != first.get_color()
    assert [text.get_text() for text in figure.legends[0].texts] == ['first', 'second']
    assert all(axes.get_ylim() == panels['4x'].get_ylim() for axes in panels.values())
    assert cv2.imread(str(tmp_path / 'plot.png')) is not None
    assert [path.name for path in tmp_path.iterdir()] == ['plot.png']


def test_one_run_is_one_panel_and_levels_can_be_chosen(tmp_path: Path, figures: list[Figure]
                                                       ) -> None:
    plot_trimap_runs(tmp_path / 'plot.png', {'run': CURVES}, ['4x', '32x'])
    (figure, ) = figures
    (axes, ) = figure.axes
    assert figure.get_suptitle() == 'run'
    assert [line.get_label() for line in axes.lines] == ['4x', '32x']
    with pytest.raises(ValueError, match=r"levels must be among \['32x', '4x', 'ms'\], got "
                                         r"\['2x'\]"):
        plot_trimap_runs(tmp_path / 'plot.png', {'run': CURVES}, ['2x', '4x'])
