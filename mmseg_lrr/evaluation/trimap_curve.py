# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The poster's figure: mean IoU inside a strip around the boundaries, against its width."""

import csv
import os
from collections.abc import Mapping
from itertools import cycle

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_lrr.evaluation.replacing import replacing

#: Name of a line -> width in pixels -> mean IoU in percent.
Curves = Mapping[str, Mapping[int, float]]


def write_trimap_csv(path: str | os.PathLike, curves: Curves) -> None:
    """Write the curves as CSV: columns ``width`` (pixels), ``level`` and ``mIoU`` (percent)."""
    with replacing(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['width', 'level', 'mIoU'])
        for level, curve in curves.items():
            writer.writerows([width, level, score] for width, score in curve.items())


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
    # Not through pyplot: no display is asked for, and nothing stays in its list of figures.
    figure = Figure(figsize=(6.4, 4.8), dpi=150, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # Markers differ too, so that the lines are told apart without colours.
    for (level, curve), marker in zip(curves.items(), cycle('osD^v<>Pp*XhH8d'), strict=False):
        axes.plot(list(curve), list(curve.values()), marker=marker, markersize=5, label=level)
    axes.set_xlabel('strip width (pixels)')
    axes.set_ylabel('mean IoU (%)')
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format='png')
