# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The poster's figure: mean IoU inside a strip around the boundaries, against its width."""

import csv
import os
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_lrr.evaluation.figure import new_figure, title_figure
from mmseg_lrr.replacing import replacing

#: Name of a line -> width in pixels -> mean IoU in percent.
Curves = Mapping[str, Mapping[int, float]]

_COLUMNS = ['width', 'level', 'mIoU']
_WIDTH_LABEL, _SCORE_LABEL = 'strip width (pixels)', 'mean IoU (%)'


def write_trimap_csv(path: str | os.PathLike, curves: Curves) -> None:
    """Write the curves as CSV: columns ``width`` (pixels), ``level`` and ``mIoU`` (percent)."""
    with replacing(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(_COLUMNS)
        for level, curve in curves.items():
            writer.writerows([width, level, score] for width, score in curve.items())


def read_trimap_csv(path: str | os.PathLike) -> dict[str, dict[int, float]]:
    """Read what :func:`write_trimap_csv` has written.

    Raises:
        ValueError: The file is something else.
    """
    curves: dict[str, dict[int, float]] = {}
    with open(path, newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _COLUMNS:
            raise ValueError(f'{path} must have the columns {",".join(_COLUMNS)}, got '
                             f'{reader.fieldnames}')
        for line in reader:
            try:
                curves.setdefault(line['level'], {})[int(line['width'])] = float(line['mIoU'])
            except (TypeError, ValueError) as error:
                raise ValueError(f'{path}, line {reader.line_num}: width must be an integer and '
                                 f'mIoU a number, got {line}') from error
    if not curves:
        raise ValueError(f'{path} holds no curve')
    return curves


def trimap_figure(curves: Curves, title: str, *, width: float = 6.4, height: float = 4.8
                  ) -> Figure:
    """Draw the curves, one line a level.

    Args:
        curves: What to draw, in the order of the legend.
        title: What stands above them.
        width: Of the figure in inches.
        height: Likewise.
    """
    figure = new_figure(width, height)
    title_figure(figure, title)
    axes = figure.add_subplot()
    _draw(axes, curves)
    axes.set_xlabel(_WIDTH_LABEL)
    axes.set_ylabel(_SCORE_LABEL)
    axes.legend(loc='center left', bbox_to_anchor=(1, .5), frameon=False)
    return figure


def plot_trimap_curves(
    path: str | os.PathLike,
    curves: Curves,
    title: str,
) -> None:
    """Draw the curves as a PNG of 960 x 720 pixels, one line a level.

    Args:
        path: The file to make or replace.
        curves: What to draw, in the order of the legend.
        title: What stands above them.
    """
    with replacing(path) as temporary:
        trimap_figure(curves, title).savefig(temporary, format='png')


def plot_trimap_runs(path: str | os.PathLike, runs: Mapping[str, Curves],
                     levels: Sequence[str] | None = None) -> None:
    """Draw the curves of several runs as a PNG: one panel a level, one line a run.

    A single run is drawn in one panel, one line a level.

    Args:
        path: The file to make or replace.
        runs: Name of a run -> its curves.
        levels: The levels to show; None for all of them.

    Raises:
        ValueError: No run has such a level; the message lists those that there are.
    """
    known = list(dict.fromkeys(level for curves in runs.values() for level in curves))
    missing = [level for level in levels or () if level not in known]
    if missing:
        raise ValueError(f'levels must be among {known}, got {missing}')
    shown = list(levels or known)
    if len(runs) == 1:
        ((name, curves), ) = runs.items()
        plot_trimap_curves(path, {level: curves[level] for level in shown}, name)
        return
    columns = min(len(shown), 3)
    lines = -(-len(shown) // columns)
    figure = new_figure(max(3.3 * columns, 5), 2.9 * lines + .35 * len(runs) + .3)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(shown):]:
        axes.set_visible(False)
    for number, (axes, level) in enumerate(zip(grid.flat, shown, strict=False)):
        # A run without the level keeps its place, so that colours mean the same everywhere.
        _draw(axes, {name: curves.get(level, {}) for name, curves in runs.items()})
        axes.set_title(level)
        if number % columns == 0:
            axes.set_ylabel(_SCORE_LABEL)
        if number + columns >= len(shown):  # nothing below it
            axes.set_xlabel(_WIDTH_LABEL)
            axes.tick_params(labelbottom=True)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc='outside upper center', frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format='png')


def _draw(axes: Axes, curves: Curves) -> None:
    # Markers differ too, so that the lines are told apart without colours.
    for (name, curve), marker in zip(curves.items(), cycle('osD^v<>Pp*XhH8d'), strict=False):
        axes.plot(list(curve), list(curve.values()), marker=marker, markersize=5, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
