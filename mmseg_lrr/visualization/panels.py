# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Label maps, boundary masks and errors as pictures: arrays in, arrays out.

A sheet (``draw_*``) shows at least one :class:`Example` by the names and RGB colours of the classes
and is ``(H, W, 3)`` uint8, RGB; ``cell_width`` is the width of each of its pictures in pixels.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mmseg_lrr.files import replacing
from mmseg_lrr.ops.boundary_band import band_index

#: Width of each picture of a sheet, in pixels.
CELL_WIDTH = 240

WHITE = (255, 255, 255)
WRONG_IN_BAND, WRONG_ELSEWHERE, BAND = (230, 97, 1), (190, 20, 40), (146, 197, 222)
CHANGED, MADE_WRONG, STILL_WRONG = (33, 102, 172), (215, 48, 31), (253, 187, 40)

_GAP = 8
_FONT = str(Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf'))

#: Text and colour of an entry of a legend.
Key = tuple[str, tuple[int, int, int]]
#: A picture (H, W, 3) and the text above it; None leaves the place empty.
Cell = tuple[np.ndarray, str] | None


@dataclass(frozen=True)
class Example:
    """An image, its labels and what a network made of it, all of the image's size.

    Attributes:
        name: Name of the image, as in titles and file names.
        image: ``(H, W, 3)`` uint8, RGB.
        labels: ``(H, W)`` class indices, or None where there is no ground truth.
        predictions: Output (``32x``, ..., ``ms``, ``ms-crf``), in the order to show them, ->
            ``(H, W)`` class indices.
        masks: Masked level -> its boundary masks, ``(M, H, W)`` in [0, 1]: the maximum over
            classes, or one for each class asked for.
        ignore_index: Label of ignored pixels.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray | None
    predictions: dict[str, np.ndarray]
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    ignore_index: int = 255

    def valid(self) -> np.ndarray:
        """Return the pixels that count, ``(H, W)`` bool. Needs labels."""
        return self.labels != self.ignore_index

    def wrong(self, output: str) -> np.ndarray:
        """Return the pixels that count and that an output gets wrong, ``(H, W)`` bool."""
        return self.valid() & (self.predictions[output] != self.labels)


def colour_table(palette: Sequence[Sequence[int]], ignore_index: int = 255) -> np.ndarray:
    """Return the colours of all labels that a byte holds, ``(256, 3)``; white for no class."""
    colours = np.full((256, 3), WHITE, np.uint8)
    colours[:len(palette)] = palette
    colours[min(ignore_index, 255)] = WHITE
    return colours


def paint(labels: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int = 255
          ) -> np.ndarray:
    """Turn ``(H, W)`` class indices into ``(H, W, 3)`` uint8 colours; ignored pixels are white."""
    return colour_table(palette, ignore_index)[np.minimum(labels, 255)]


def paint_values(values: np.ndarray) -> np.ndarray:
    """Turn values in [0, 1] into uint8 colours of matplotlib's viridis."""
    return matplotlib.colormaps['viridis'](values, bytes=True)[..., :3]


def fade(image: np.ndarray) -> np.ndarray:
    """Turn a photograph grey, so that colours and white stand out from it."""
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
    return np.repeat(135 + grey * (90 / 255), 3, axis=2).astype(np.uint8)


def class_keys(examples: Sequence[Example], classes: Sequence[str],
               palette: Sequence[Sequence[int]], outputs: Sequence[str] | None = None
               ) -> list[Key]:
    """List the classes that occur in the labels and in the given outputs, for a legend."""
    shown = [labels for item in examples for name, labels in item.predictions.items()
             if outputs is None or name in outputs]
    shown += [item.labels for item in examples if item.labels is not None]
    found = sorted({int(label) for labels in shown for label in np.unique(labels)})
    ignored = examples[0].ignore_index
    named = [label for label in found if label < len(classes) and label != ignored]
    keys = [(classes[label], tuple(palette[label])) for label in named]
    return keys + [('ignored', WHITE)] * (len(named) < len(found))


def draw_levels(examples: Sequence[Example], classes: Sequence[str],
                palette: Sequence[Sequence[int]], *, cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw a row for each image: image, ground truth, every output."""
    outputs = list(dict.fromkeys(name for item in examples for name in item.predictions))
    labelled = any(item.labels is not None for item in examples)
    rows = []
    for item in examples:
        maps = {'ground truth': item.labels} if labelled else {}
        maps |= {name: item.predictions.get(name) for name in outputs}
        rows.append([(item.image, item.name), *(
            None if labels is None else (paint(labels, palette, item.ignore_index), name)
            for name, labels in maps.items())])
    return draw_sheet(rows, class_keys(examples, classes, palette), cell_width)


def draw_masks(examples: Sequence[Example], classes: Sequence[str],
               palette: Sequence[Sequence[int]], *, mask_names: Sequence[str] = ('', ),
               cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw the levels of each image, below them their masks, below them what they changed.

    Args:
        mask_names: Classes that a level's :attr:`Example.masks` are of; ``('', )`` for the maximum
            over classes.

    Raises:
        ValueError: An example has fewer than two levels.
    """
    rows, keys, levels = [], {}, []
    for item in examples:
        levels = [name for name in item.predictions if re.fullmatch(r'\d+x', name)]
        if len(levels) < 2:
            raise ValueError('masks are between levels, but the network has the outputs '
                             f'{list(item.predictions)}')
        rows.append([(item.image, item.name), *(
            (paint(item.predictions[level], palette, item.ignore_index), level)
            for level in levels)])
        masks = [[
            (paint_values(item.masks[level][number]), f'mask {level}' + (name and f', {name}'))
            if level in item.masks else None for level in levels[1:]]
            for number, name in enumerate(mask_names) if item.masks]
        changes = []
        for coarse, fine in zip(levels, levels[1:], strict=False):
            picture, text, used = _changes(item, coarse, fine)
            changes.append((picture, f'changed at {fine}\n{text}'))
            keys |= used
        truth = None if item.labels is None else (
            paint(item.labels, palette, item.ignore_index), 'ground truth')
        for number, row in enumerate([*masks, changes]):
            rows.append([truth if number == 0 else None, None, *row])
    legend = [*class_keys(examples, classes, palette, levels), *keys.items()]
    if any(item.masks for item in examples):
        values = np.linspace(0, 1, 5)
        legend += [(f'mask {value:g}', tuple(colour.tolist()))
                   for value, colour in zip(values, paint_values(values), strict=True)]
    return draw_sheet(rows, legend, cell_width)


def _changes(item: Example, coarse: str, fine: str
             ) -> tuple[np.ndarray, str, dict[str, tuple[int, int, int]]]:
    """Picture, numbers and legend of what a level changed."""
    before, after = item.predictions[coarse], item.predictions[fine]
    changed = before != after
    picture = fade(item.image)
    if item.labels is None:
        picture[changed] = CHANGED
        return picture, f'{changed.mean():.1%} of the pixels', {'changed': CHANGED}
    right, was_right = item.valid() & (after == item.labels), before == item.labels
    changed &= item.valid()
    # Fractions of the pixels that count: gains and losses add up to the change in accuracy.
    count = max(item.valid().sum(), 1)
    gains, losses = (changed & right).sum() / count, (changed & was_right).sum() / count
    picture[changed] = STILL_WRONG
    picture[changed & right] = CHANGED
    picture[changed & was_right] = MADE_WRONG
    return picture, f'{gains:.1%} put right, {losses:.1%} made wrong', {
        'wrong to right': CHANGED, 'right to wrong': MADE_WRONG, 'wrong to wrong': STILL_WRONG}


def draw_errors(examples: Sequence[Example], classes: Sequence[str],
                palette: Sequence[Sequence[int]], *, width: int = 5,
                cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw a row for each image: image, ground truth, the wrong pixels of every output.

    Args:
        width: Width in pixels of the trimap around the label boundaries, as in
            :class:`~mmseg_lrr.evaluation.metrics.boundary_metrics.TrimapIoUMetric`.

    Raises:
        ValueError: An example has no labels.
    """
    rows = []
    for item in examples:
        if item.labels is None:
            raise ValueError(f'errors need ground truth, but {item.name} has none')
        valid = item.valid()
        band = band_index(item.labels, [width]) == 0
        row = [(item.image, item.name),
               (paint(item.labels, palette, item.ignore_index),
                f'ground truth\ntrimap: {_fraction(band, valid)} of the pixels')]
        for output in item.predictions:
            wrong = item.wrong(output)
            picture = fade(item.image)
            picture[band] = (picture[band] * .2 + np.array(BAND) * .8).astype(np.uint8)
            picture[wrong & band] = WRONG_IN_BAND
            picture[wrong & ~band] = WRONG_ELSEWHERE
            picture[~valid] = WHITE
            row.append((picture, f'{output}\nwrong: {_fraction(wrong, valid)}, '
                                 f'in the trimap {_fraction(wrong, band & valid)}'))
        rows.append(row)
    return draw_sheet(rows, [
        *class_keys(examples, classes, palette, outputs=()),
        (f'wrong, less than {width} px from a boundary', WRONG_IN_BAND),
        ('wrong elsewhere', WRONG_ELSEWHERE), ('right, in the trimap', BAND)], cell_width)


def _fraction(pixels: np.ndarray, of: np.ndarray) -> str:
    return f'{pixels[of].mean():.1%}' if of.any() else '-'


def draw_sheet(rows: Sequence[Sequence[Cell]], keys: Sequence[Key],
               cell_width: int = CELL_WIDTH) -> np.ndarray:
    """Draw pictures in rows, all of one width, with a legend below.

    Pictures are enlarged without smoothing and reduced by averaging.
    """
    columns = max(map(len, rows))
    strips = []
    for row in rows:
        cells = [np.asarray(_cell(cell, cell_width)) if cell else np.empty((0, cell_width, 3))
                 for cell in (*row, *[None] * (columns - len(row)))]
        height = max(map(len, cells))
        strips.append(np.hstack([
            np.pad(cell, ((height - len(cell), _GAP), (_GAP // 2, _GAP // 2), (0, 0)),
                   constant_values=255).astype(np.uint8) for cell in cells]))
    return np.vstack([*strips, np.asarray(_legend(keys, strips[0].shape[1]))])


def save_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write an ``(H, W, 3)`` uint8 picture."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format='PNG', optimize=True)


def _font(text: str, size: int, room: int) -> ImageFont.FreeTypeFont:
    """The font in which the longest line of a text fits into some pixels."""
    longest = max(map(ImageFont.truetype(_FONT, 100).getlength, text.split('\n')))
    return ImageFont.truetype(_FONT, max(min(size, int(100 * room / max(longest, 1))), 1))


def _cell(cell: tuple[np.ndarray, str], width: int) -> Image.Image:
    picture, text = cell
    image = Image.fromarray(np.ascontiguousarray(picture))
    inner = width - 2
    size = (inner, max(round(image.height * inner / image.width), 1))
    framed = ImageOps.expand(
        image.resize(size, Image.BOX if inner < image.width else Image.NEAREST), 1, (170, ) * 3)
    head = 20 * len(text.split('\n'))
    result = Image.new('RGB', (width, head + framed.height), WHITE)
    result.paste(framed, (0, head))
    ImageDraw.Draw(result).multiline_text(
        (width / 2, 2), text, (0, 0, 0), _font(text, 14, width), anchor='ma', align='center')
    return result


def _legend(keys: Sequence[Key], width: int) -> Image.Image:
    places, x, y = [], _GAP, 0
    for text, colour in keys:
        font = _font(text, 13, width - 48)
        needed = 48 + font.getlength(text)
        if x + needed > width and x > _GAP:
            x, y = _GAP, y + 22
        places.append((x, y, text, colour, font))
        x += needed
    result = Image.new('RGB', (width, y + 26), WHITE)
    draw = ImageDraw.Draw(result)
    for x, y, text, colour, font in places:
        draw.rectangle((x, y + 4, x + 22, y + 16), colour, (128, ) * 3)
        draw.text((x + 28, y + 10), text, (0, 0, 0), font, anchor='lm')
    return result
