# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Figures of curves, drawn without a display."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TITLE_POINTS = 12
# Of its edges, in inches, that a title leaves free.
_MARGIN = 0.1


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, at 150 pixels an inch."""
    # Not through pyplot: no display is asked for, and nothing stays in its list of figures.
    figure = Figure(figsize=(width, height), dpi=150, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def title_figure(figure: Figure, text: str) -> None:
    """Put a title above a figure, as small as it takes to fit its width."""
    title = figure.suptitle(text, fontsize=_TITLE_POINTS)
    renderer = figure.canvas.get_renderer()
    free = figure.bbox.width - 2 * _MARGIN * figure.dpi
    # Letters are placed on whole pixels: their width is not quite in proportion to their size.
    while (width := title.get_window_extent(renderer).width) > free:
        title.set_fontsize(title.get_fontsize() * min(free / width, 0.99))
