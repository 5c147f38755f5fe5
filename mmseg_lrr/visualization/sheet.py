# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Rows of pictures with titles, a legend and a colour scale, pixel for pixel."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from PIL import Image

from mmseg_lrr.ops import checks
from mmseg_lrr.replacing import replacing

from .colours import Key

#: Width of a picture in a sheet, in pixels, where nothing else is said.
CELL_WIDTH = 240

_DPI = 100
_MARGIN, _GAP = 12, 8
# Heights of a line of text in pixels, and the sizes of their letters in points.
_HEADING_HEIGHT, _TITLE_HEIGHT, _TITLE_SIZE = 30, 23, 11.5
_NOTE_HEIGHT, _NOTE_SIZE = 17, 9
_BAR_WIDTH, _BAR_SPACE, _BAR_HEIGHT, _BAR_INTERVAL = 16, 95, 420, 900
_FRAME = 170


@dataclass(frozen=True)
class Cell:
    """One picture.

    Attributes:
        picture: (H, W, 3) uint8, RGB.
        title: Stands above it.
        note: Stands below the title, smaller.
    """

    picture: np.ndarray
    title: str = ''
    note: str = ''


@dataclass(frozen=True)
class Row:
    """Pictures side by side; None leaves a place empty.

    Attributes:
        cells: From the left.
        heading: Stands above the row, at its left.
    """

    cells: Sequence[Cell | None]
    heading: str = ''


@dataclass(frozen=True)
class ColourBar:
    """The scale of values that are shown as colours.

    Attributes:
        colour_map: Name of matplotlib's map.
        low: Value at its lower end.
        high: Value at its upper end.
        label: What the values are.
    """

    colour_map: str
    low: float
    high: float
    label: str


def draw_sheet(rows: Sequence[Row], *, legends: Sequence[Sequence[Key]] = (),
               bar: ColourBar | None = None, cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw a sheet of pictures.

    Every picture is brought to one width, its shape kept: enlarged without smoothing, reduced by
    averaging.

    Args:
        rows: At least one.
        legends: Stand below, one under the other.
        bar: The colour scale, which stands at the right, on a tall sheet several times; None for
            none.
        cell_width: Width of a picture in pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    checks.integer('cell_width', cell_width, 40)
    pictures = [[None if cell is None else _fit(cell.picture, cell_width) for cell in row.cells]
                for row in rows]
    columns = max(len(row.cells) for row in rows)
    inner = columns * (cell_width + _GAP) - _GAP
    heights = [_row_height(row, fitted) for row, fitted in zip(rows, pictures, strict=True)]
    body = sum(heights) + _GAP * (len(rows) - 1)
    width = 2 * _MARGIN + inner + (_BAR_SPACE if bar else 0)
    legends = [keys for keys in legends if keys]
    legend_heights = [_legend_height(keys, width) for keys in legends]
    height = 2 * _MARGIN + body + sum(legend_heights)

    figure = _figure(width, height)
    top = _MARGIN
    for row, fitted, row_height in zip(rows, pictures, heights, strict=True):
        _draw_row(figure, row, fitted, top, cell_width)
        top += row_height + _GAP
    if bar:
        bar_height = min(body, _BAR_HEIGHT)
        # One is always in sight on a tall sheet.
        bars = max(round(body / _BAR_INTERVAL), 1)
        for number in range(bars):
            centre = _MARGIN + body * (number + .5) / bars
            axes = figure.add_axes((
                (_MARGIN + inner + 2 * _GAP) / width, 1 - (centre + bar_height / 2) / height,
                _BAR_WIDTH / width, bar_height / height))
            figure.colorbar(ScalarMappable(Normalize(bar.low, bar.high), bar.colour_map), cax=axes)
            axes.tick_params(labelsize=_NOTE_SIZE)
            axes.set_ylabel(bar.label, fontsize=_NOTE_SIZE + .5)
    bottom = _MARGIN // 2
    for keys, legend_height in zip(reversed(legends), reversed(legend_heights), strict=True):
        _legend(figure, keys, width, bottom / height)
        bottom += legend_height
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def save_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB picture as PNG, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format='PNG', optimize=True)


def _fit(picture: np.ndarray, width: int) -> np.ndarray:
    """Bring a picture to a width and give it a thin frame, within that width."""
    size = (width - 2, max(round(picture.shape[0] * (width - 2) / picture.shape[1]), 1))
    method = cv2.INTER_AREA if size[0] < picture.shape[1] else cv2.INTER_NEAREST_EXACT
    fitted = cv2.resize(np.ascontiguousarray(picture), size, interpolation=method)
    return np.pad(fitted, ((1, 1), (1, 1), (0, 0)), constant_values=_FRAME)


def _head_height(row: Row) -> int:
    """Height of what stands above a row's pictures."""
    cells = [cell for cell in row.cells if cell is not None]
    height = _HEADING_HEIGHT if row.heading else 0
    height += _TITLE_HEIGHT if any(cell.title for cell in cells) else 0
    return height + (_NOTE_HEIGHT if any(cell.note for cell in cells) else 0)


def _row_height(row: Row, fitted: Sequence[np.ndarray | None]) -> int:
    return _head_height(row) + max(
        (len(picture) for picture in fitted if picture is not None), default=0)


def _figure(width: int, height: int) -> Figure:
    # Not through pyplot: no display is asked for, and nothing stays in its list of figures.
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def _draw_row(figure: Figure, row: Row, fitted: Sequence[np.ndarray | None], top: int,
              cell_width: int) -> None:
    width, height = (round(side * _DPI) for side in figure.get_size_inches())

    def write(text: str, x: float, below: float, size: float, room: float, **style: str) -> None:
        written = figure.text(x / width, 1 - (top + below) / height, text, fontsize=size,
                              verticalalignment='top', **style)
        # A long text in a narrow place gets smaller letters.
        needed = written.get_window_extent().width
        if needed > room:
            written.set_fontsize(size * room / needed)

    below = 0
    if row.heading:
        # The room above it parts it from the row before.
        below = _HEADING_HEIGHT - _TITLE_HEIGHT
        write(row.heading, _MARGIN, below, _TITLE_SIZE, width - 2 * _MARGIN, weight='bold')
        below = _HEADING_HEIGHT
    noted = any(cell is not None and cell.note for cell in row.cells)
    head = _head_height(row)
    for column, (cell, picture) in enumerate(zip(row.cells, fitted, strict=True)):
        if cell is None:
            continue
        left = _MARGIN + column * (cell_width + _GAP)
        centre = left + cell_width / 2
        write(cell.title, centre, below, _TITLE_SIZE, cell_width, horizontalalignment='center')
        if noted:
            write(cell.note, centre, head - _NOTE_HEIGHT, _NOTE_SIZE, cell_width,
                  horizontalalignment='center', color='0.35')
        figure.figimage(picture, left, height - top - head - len(picture))


def _legend(figure: Figure, keys: Sequence[Key], width: int, bottom: float = 0) -> Legend:
    """Put a legend at a height (in shares of the figure's), in as few rows as fit."""
    handles = [
        Patch(facecolor=[value / 255 for value in colour], edgecolor='0.5', linewidth=.6,
              label=text) for text, colour in keys]
    for rows in range(1, len(keys) + 1):
        # Rows that are as long as one another.
        columns = -(-len(keys) // rows)
        legend = figure.legend(
            handles=handles, loc='lower center', bbox_to_anchor=(.5, bottom), ncols=columns,
            frameon=False, borderaxespad=0, borderpad=.3, fontsize=_TITLE_SIZE - 1,
            handlelength=1.6, columnspacing=1.4)
        if columns == 1 or legend.get_window_extent().width <= width:
            return legend
        legend.remove()
    raise AssertionError('a legend has at least one key')


def _legend_height(keys: Sequence[Key], width: int) -> int:
    legend = _legend(_figure(width, 400), keys, width)
    return round(legend.get_window_extent().height) + 2
