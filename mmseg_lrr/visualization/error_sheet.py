# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Which pixels each output gets wrong, and how many of them lie near a boundary."""

from collections.abc import Sequence

import numpy as np

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.boundary_band import band_index

from .colours import IGNORED_COLOUR, class_keys, fade, paint
from .example import Example
from .sheet import CELL_WIDTH, Cell, Row, draw_sheet

#: Colours of the pixels of an error map.
WRONG_IN_BAND = (230, 97, 1)
WRONG_ELSEWHERE = (190, 20, 40)
BAND = (146, 197, 222)


def draw_errors(examples: Sequence[Example], classes: Sequence[str],
                palette: Sequence[Sequence[int]], *, width: int = 5,
                cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw one strip an image: image, ground truth, and the error map of every output.

    Args:
        examples: At least one; with labels.
        classes: Names of the classes.
        palette: Their RGB colours.
        width: Of the band around the label boundaries (trimap), in pixels of the image, as in
            :class:`~mmseg_lrr.evaluation.metrics.trimap_iou_metric.TrimapIoUMetric`.
        cell_width: Width of a picture in pixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: An example has no labels.
    """
    checks.integer('width', width, 1)
    rows = []
    for example in examples:
        if example.labels is None:
            raise ValueError(f'errors need ground truth, but {example.name} has none')
        band = band_index(example.labels, [width]) == 0
        cells = [Cell(example.image, 'image'),
                 Cell(paint(example.labels, palette, example.ignore_index), 'ground truth',
                      f'band: {_share(band, example.valid())} of the pixels')]
        for output in example.predictions:
            wrong = example.wrong(output)
            cells.append(Cell(
                _error_map(example, wrong, band), output,
                f'wrong: {_share(wrong, example.valid())}; '
                f'in the band {_share(wrong, band & example.valid())}'))
        rows.append(Row(cells, example.name))
    keys = [
        (f'wrong, less than {width} px from a boundary', WRONG_IN_BAND),
        ('wrong elsewhere', WRONG_ELSEWHERE),
        ('right, in the band', BAND),
        ('ignored', IGNORED_COLOUR),
    ]
    labels = class_keys(
        [example.labels for example in examples], classes, palette, examples[0].ignore_index)
    # Ignored pixels have one colour in both.
    labels = [key for key in labels if key not in keys]
    return draw_sheet(rows, legends=[labels, keys], cell_width=cell_width)


def _error_map(example: Example, wrong: np.ndarray, band: np.ndarray) -> np.ndarray:
    picture = fade(example.image)
    # The photograph stays visible in the band.
    picture[band] = (picture[band] * .2 + np.array(BAND) * .8).astype(np.uint8)
    picture[wrong & band] = WRONG_IN_BAND
    picture[wrong & ~band] = WRONG_ELSEWHERE
    picture[~example.valid()] = IGNORED_COLOUR
    return picture


def _share(pixels: np.ndarray, of: np.ndarray) -> str:
    count = int(of.sum())
    return f'{(pixels & of).sum() / count:.1%}' if count else '-'
