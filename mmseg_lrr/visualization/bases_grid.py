# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The basis functions of the classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

_CELL, _GAP = .62, .05  # inches
_TOP, _BOTTOM, _RIGHT = .75, .15, 1.15


def draw_bases(bases: np.ndarray, classes: Sequence[str], *, title: str = '') -> np.ndarray:
    """Draw a grid, one row a class and one column a basis function.

    All share one colour scale, symmetric about 0.

    Args:
        bases: (C, K, H, W).
        classes: C names.
        title: Stands above.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: The shapes do not fit.
    """
    if bases.ndim != 4 or len(bases) != len(classes):
        raise ValueError(f'bases must be ({len(classes)}, K, H, W), one row for each of the '
                         f'{len(classes)} classes, got an array of shape {bases.shape}')
    num_classes, num_bases = bases.shape[:2]
    left = .3 + .105 * max(map(len, classes))
    # A title needs room however few the basis functions.
    inner = max(num_bases * (_CELL + _GAP), .1 * len(title))
    width = left + inner + _RIGHT
    height = _TOP + num_classes * (_CELL + _GAP) + _BOTTOM
    figure = Figure(figsize=(width, height), dpi=100, facecolor='white')
    FigureCanvasAgg(figure)
    norm = CenteredNorm(halfrange=float(np.abs(bases).max()) or 1.0)

    def axes_at(x: float, y: float, w: float, h: float):
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    for row, name in enumerate(classes):
        top = _TOP + row * (_CELL + _GAP)
        figure.text((left - .1) / width, 1 - (top + _CELL / 2) / height, name, fontsize=11,
                    horizontalalignment='right', verticalalignment='center')
        for column in range(num_bases):
            axes = axes_at(left + column * (_CELL + _GAP), top, _CELL, _CELL)
            axes.imshow(bases[row, column], cmap='RdBu_r', norm=norm, interpolation='nearest')
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color('0.6')
            if row == 0:
                axes.set_title(str(column + 1), fontsize=10, pad=3)
    if title:
        figure.text(left / width, 1 - .12 / height, title, fontsize=12.5, weight='bold',
                    verticalalignment='top')
    bar_height = min(num_classes * (_CELL + _GAP) - _GAP, 4.5)
    cax = axes_at(left + num_bases * (_CELL + _GAP) + .1, _TOP, .16, bar_height)
    figure.colorbar(ScalarMappable(norm, 'RdBu_r'), cax=cax)
    cax.tick_params(labelsize=9)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
