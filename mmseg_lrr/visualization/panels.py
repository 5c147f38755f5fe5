# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures of what each level says and where its mask lets detail in."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmseg_lrr.evaluation.replacing import replacing

IGNORED_COLOUR = (255, 255, 255)


def paint(labels: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int = 255
          ) -> np.ndarray:
    """(H, W) class indices to (H, W, 3) uint8 colours; ignored pixels are white."""
    colours = np.full((256, 3), IGNORED_COLOUR, np.uint8)
    colours[:len(palette)] = palette
    colours[ignore_index] = IGNORED_COLOUR
    return colours[labels]


def _show(axes: Axes, picture: np.ndarray, title: str, **kwargs) -> None:
    axes.imshow(picture, interpolation='nearest', **kwargs)
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()


def level_panel(path: str | Path, examples: Sequence[Mapping], classes: Sequence[str],
                palette: Sequence[Sequence[int]]) -> None:
    """Draw one row an image: image | ground truth | each level's labels | each level's mask.

    Args:
        path: PNG file to write.
        examples: one mapping a row: ``image`` (H, W, 3) uint8 RGB; ``labels`` (H, W) or None;
            ``levels`` name -> (H, W) class indices, coarse to fine; ``masks`` name -> (h, w) in
            [0, 1].
        classes: names of the classes.
        palette: their RGB colours.
    """
    columns = [2 + len(example['levels']) + len(example['masks']) for example in examples]
    figure = Figure(figsize=(2.1 * max(columns), 2.3 * len(examples) + 1.0), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(examples), max(columns), squeeze=False)
    shown = set()
    mask_axes = []
    for row, example in zip(grid, examples, strict=True):
        for axes in row:
            axes.set_axis_off()
        axes = iter(row)
        _show(next(axes), example['image'], 'image')
        pictures = {'ground truth': example['labels'], **example['levels']}
        for title, labels in pictures.items():
            cell = next(axes)
            if labels is not None:
                _show(cell, paint(labels, palette), title)
                shown |= set(np.unique(labels).tolist())
        for level, mask in example['masks'].items():
            cell = next(axes)
            _show(cell, mask, f'mask {level}', cmap='viridis', vmin=0, vmax=1)
            mask_axes.append(cell)
    if mask_axes:
        figure.colorbar(
            ScalarMappable(Normalize(0, 1), 'viridis'), ax=mask_axes, shrink=0.8,
            label='boundary mask, max over classes')
    present = [index for index in sorted(shown) if index < len(classes)]
    patches = [Patch(color=np.array(palette[i]) / 255, label=classes[i]) for i in present]
    patches.append(Patch(facecolor='white', edgecolor='grey', label='ignored'))
    figure.legend(handles=patches, loc='outside lower center', ncols=min(len(patches), 11),
                  frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format='png')
