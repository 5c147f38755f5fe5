# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Scores near boundaries against the width, and basis functions, by matplotlib."""

import csv
import os
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_lrr.files import replacing
from mmseg_lrr.ops import checks

#: Name of a line -> width in pixels -> score in percent.
Curves = Mapping[str, Mapping[int, float]]

#: Measure, as the files' columns are called -> what an axis is called.
MEASURES = {
    'mIoU': 'mean IoU in the trimap (%)',
    'boundary_mIoU': 'mean Boundary IoU (%)',
    'boundary_mF': 'mean boundary F (%)',
}


def write_trimap_csv(path: str | os.PathLike, measures: Mapping[str, Curves]) -> None:
    """Write measures of the same levels and widths as CSV: ``width``, ``level``, a column each."""
    with replacing(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['width', 'level', *measures])
        for level, curve in next(iter(measures.values())).items():
            writer.writerows([width, level, *(curves[level][width] for curves in measures.values())]
                             for width in curve)


def read_trimap_csv(path: str | os.PathLike, measure: str = 'mIoU') -> dict[str, dict[int, float]]:
    """Read a measure's curves from what :func:`write_trimap_csv` has written."""
    curves: dict[str, dict[int, float]] = {}
    with open(path, newline='', encoding='utf-8') as file:
        lines = csv.DictReader(file)
        checks.one_of(f'measure of {path}', measure, lines.fieldnames[2:])
        for line in lines:
            curves.setdefault(line['level'], {})[int(line['width'])] = float(line[measure])
    return curves


def plot_trimap_curves(path: str | os.PathLike, curves: Curves, title: str,
                       measure: str = 'mIoU') -> None:
    """Draw curves as a PNG of 960 x 720 pixels, one line for each level."""
    plot_trimap_runs(path, {title: curves}, measure=measure)


def plot_trimap_runs(path: str | os.PathLike, runs: Mapping[str, Curves],
                     levels: Sequence[str] | None = None, measure: str = 'mIoU') -> None:
    """Draw the curves of several runs as a PNG: one panel for each level, one line for each run.

    A single run is drawn in one panel, one line for each level.

    Args:
        path: File to write.
        runs: Name of a run -> its curves.
        levels: Levels to show; None for all of them.
        measure: What the curves are of, see :data:`MEASURES`.

    Raises:
        ValueError: No run has such a level.
    """
    known = list(dict.fromkeys(level for curves in runs.values() for level in curves))
    levels = [checks.one_of('levels', level, known) for level in levels or known]
    if len(runs) == 1:
        panels = {title: {level: run[level] for level in levels} for title, run in runs.items()}
    else:
        # A run without the level keeps its place, so that colours mean the same everywhere.
        panels = {level: {name: run.get(level, {}) for name, run in runs.items()}
                  for level in levels}
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    size = (6.4, 4.8) if len(panels) == 1 else (3.3 * columns, 2.9 * rows + .3 * len(runs))
    figure = Figure(figsize=size, dpi=150, layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[len(panels):]:
        axes.remove()
    for axes, (title, curves) in zip(grid, panels.items(), strict=False):
        # Markers differ too: lines are told apart without colours.
        for (name, curve), marker in zip(curves.items(), cycle('osD^v<>Pp*XhH8d'), strict=False):
            axes.plot(list(curve), list(curve.values()), marker=marker, markersize=5, label=name)
        axes.set_title(title, fontsize=10, wrap=True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelbottom=True)
        axes.grid(alpha=.3)
    figure.supxlabel('width (pixels)', fontsize=10)
    figure.supylabel(MEASURES[measure], fontsize=10)
    figure.legend(*grid[0].get_legend_handles_labels(), frameon=False, loc=(
        'outside right center' if len(runs) == 1 else 'outside upper center'))
    with replacing(path) as temporary:
        figure.savefig(temporary, format='png')


def plot_bases(path: str | os.PathLike, bases: np.ndarray, classes: Sequence[str], title: str
               ) -> None:
    """Draw basis functions as a PNG, one row for each class, on one scale symmetric about 0.

    Args:
        path: File to write.
        bases: ``(C, K, H, W)``.
        classes: C names.
        title: Text above.
    """
    num_classes, num_bases, height, width = bases.shape
    tiles = np.full((num_classes, height + 3, num_bases, width + 3), np.nan)
    tiles[:, :height, :, :width] = bases.transpose(0, 2, 1, 3)
    figure = Figure(figsize=(.6 * num_bases + 3, .6 * num_classes + 1), dpi=100,
                    layout='constrained')
    axes = figure.add_subplot()
    shown = axes.imshow(
        tiles.reshape(num_classes * (height + 3), -1), cmap='RdBu_r', interpolation='nearest',
        norm=CenteredNorm(halfrange=float(np.abs(bases).max()) or 1.))
    axes.set_yticks(np.arange(num_classes) * (height + 3) + height / 2, classes)
    axes.set_xticks(np.arange(num_bases) * (width + 3) + width / 2, range(1, num_bases + 1))
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=11, wrap=True)
    figure.colorbar(shown, shrink=min(1., 4 / num_classes))
    with replacing(path) as temporary:
        figure.savefig(temporary, format='png')
