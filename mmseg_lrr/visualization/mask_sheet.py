# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Where each level's boundary mask lets detail in, and which pixels the level changed."""

from collections.abc import Sequence

import numpy as np

from .colours import VALUE_MAP, Key, class_keys, fade, paint, paint_values
from .example import Example, levels_of
from .sheet import CELL_WIDTH, Cell, ColourBar, Row, draw_sheet

CHANGED = ('changed', (33, 102, 172))
PUT_RIGHT = ('changed: wrong to right', (33, 102, 172))
MADE_WRONG = ('changed: right to wrong', (215, 48, 31))
STILL_WRONG = ('changed: wrong to wrong', (253, 187, 40))


def draw_masks(examples: Sequence[Example], classes: Sequence[str],
               palette: Sequence[Sequence[int]], *, mask_names: Sequence[str] = ('', ),
               cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw a block an image: its levels, below them their masks, below them what they changed.

    Args:
        examples: At least one, with two levels at least.
        classes: Names of the classes.
        palette: Their RGB colours.
        mask_names: What the masks of a level in :attr:`Example.masks` are of: names of classes;
            an empty name for the maximum over classes.
        cell_width: Width of a picture in pixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: An example has fewer than two levels.
    """
    rows, shown, keys = [], [], {}
    for example in examples:
        levels = levels_of(example)
        if len(levels) < 2:
            raise ValueError('masks are between levels, but the network has the outputs '
                             f'{list(example.predictions)}')
        rows.append(Row([
            Cell(example.image, 'image'),
            *(Cell(paint(example.predictions[level], palette, example.ignore_index), level)
              for level in levels)], example.name))
        shown += [example.predictions[level] for level in levels]
        truth = None
        if example.labels is not None:
            truth = Cell(paint(example.labels, palette, example.ignore_index), 'ground truth')
            shown.append(example.labels)
        for number, name in enumerate(mask_names if example.masks else ()):
            of = f', {name}' if name else ''
            rows.append(Row([
                truth, None,
                *(Cell(paint_values(example.masks[level][number]), f'mask {level}{of}')
                  if level in example.masks else None for level in levels[1:])]))
            truth = None
        cells = []
        for coarse, fine in zip(levels, levels[1:], strict=False):
            picture, note, used = _changes(example, coarse, fine)
            cells.append(Cell(picture, f'changed at {fine}', note))
            keys.update(used)
        rows.append(Row([truth, None, *cells]))
    bar = None
    if any(example.masks for example in examples):
        of = '' if any(mask_names) else ', maximum over classes'
        bar = ColourBar(VALUE_MAP, 0, 1, f'boundary mask{of}')
    return draw_sheet(
        rows, bar=bar, cell_width=cell_width,
        legends=[class_keys(shown, classes, palette, examples[0].ignore_index),
                 list(keys.items())])


def _changes(example: Example, coarse: str, fine: str) -> tuple[np.ndarray, str, dict]:
    """Picture, note and legend of what a level changed."""
    before, after = example.predictions[coarse], example.predictions[fine]
    changed = before != after
    picture = fade(example.image)
    note = f'{changed.mean():.1%} of the pixels'
    if example.labels is None:
        groups: list[tuple[Key, np.ndarray]] = [(CHANGED, changed)]
    else:
        changed &= example.valid()
        right = after == example.labels
        groups = [(PUT_RIGHT, changed & right),
                  (MADE_WRONG, changed & (before == example.labels)),
                  (STILL_WRONG, changed & ~right & (before != example.labels))]
        # Of the pixels that count, so that gains and losses add up to the change in accuracy.
        count = max(int(example.valid().sum()), 1)
        note = (f'{groups[0][1].sum() / count:.1%} put right, '
                f'{groups[1][1].sum() / count:.1%} made wrong')
    for (_, colour), pixels in groups:
        picture[pixels] = colour
    return picture, note, dict(key for key, _ in groups)
