# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What each output says: image, ground truth, levels coarse to fine, multi-scale, CRF."""

from collections.abc import Sequence

import numpy as np

from .colours import class_keys, paint
from .example import Example
from .sheet import CELL_WIDTH, Cell, Row, draw_sheet


def draw_levels(examples: Sequence[Example], classes: Sequence[str],
                palette: Sequence[Sequence[int]], *, cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw one strip an image, with a legend of the classes that occur.

    Args:
        examples: At least one.
        classes: Names of the classes.
        palette: Their RGB colours.
        cell_width: Width of a picture in pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    outputs = list(dict.fromkeys(name for example in examples for name in example.predictions))
    labelled = any(example.labels is not None for example in examples)
    rows, shown = [], []
    for number, example in enumerate(examples):
        maps = {name: example.predictions.get(name) for name in outputs}
        if labelled:
            maps = {'ground truth': example.labels, **maps}
        titled = number == 0
        cells: list[Cell | None] = [Cell(example.image, 'image' if titled else '')]
        for name, labels in maps.items():
            if labels is None:
                cells.append(None)
                continue
            painted = paint(labels, palette, example.ignore_index)
            cells.append(Cell(painted, name if titled or None in cells else ''))
            shown.append(labels)
        rows.append(Row(cells, example.name))
    keys = class_keys(shown, classes, palette, examples[0].ignore_index)
    return draw_sheet(rows, legends=[keys], cell_width=cell_width)
