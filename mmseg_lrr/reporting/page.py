# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A report as one HTML file that needs nothing else: no network, no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jinja2 import Template
from PIL import Image

from mmseg_lrr.visualization.panels import Example, class_keys, colour_table, paint_values

from .examples import MULTI_SCALE, MULTI_SCALE_CRF

WRONG_COLOUR = (222, 20, 20)

# Longer side of an image on the page, in pixels, at most.
_LONG_SIDE = 720


@dataclass(frozen=True)
class PageModel:
    """What the page shows of one network.

    Attributes:
        name: Name of the network.
        rows: Output -> its numbers as text, one for each of the table's columns.
        plots: Caption -> PNG file.
        examples: Images to look at, by the names and RGB colours of the classes.
        class_names: Classes of the table of classes; it is left out if there are none.
        by_class: Output -> IoU of each of them as text.
    """

    name: str
    rows: Mapping[str, Sequence[str]]
    plots: Mapping[str, Path]
    examples: Sequence[Example]
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    class_names: Sequence[str] = ()
    by_class: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def best(self, column: int) -> str | None:
        """Return the largest number of a column, as text; None where there is none."""
        cells = [row[column] for row in self.rows.values() if row[column] != '-']
        return max(cells, key=float, default=None)

    def keys(self) -> list[tuple[str, tuple[int, int, int]]]:
        """List the classes that occur, with their colours."""
        return class_keys(self.examples, self.classes, self.palette)

    def stops(self) -> list[str]:
        """List what the slider goes through."""
        truth = any(item.labels is not None for item in self.examples)
        return ['image', *self.examples[0].predictions, *['truth'] * truth]

    def start(self) -> int:
        """The stop that the page opens at: the finest level, or the only single pass."""
        stops = self.stops()
        return max(stops.index(output) for output in self.examples[0].predictions
                   if output not in (MULTI_SCALE, MULTI_SCALE_CRF))

    def cards(self) -> list[dict]:
        """Return the layers of every image, and what each output gets wrong."""
        return [_card(item, self.palette) for item in self.examples]


def report_page(title: str, columns: Sequence[str], row_order: Sequence[str],
                models: Sequence[PageModel], notes: Sequence[str]) -> str:
    """Write the page as HTML.

    Args:
        title: Heading of the page.
        columns: Headings of the table's numbers; the best number of each is
            marked, but for the last, the time.
        row_order: Outputs, in the order of the table's rows.
        models: At least one.
        notes: What the numbers mean.
    """
    template = Template(Path(__file__).with_name('page.html').read_text(encoding='utf-8'),
                        autoescape=True, trim_blocks=True, lstrip_blocks=True)
    ramp = paint_values(np.linspace(0, 1, 9)).tolist()
    return template.render(
        title=title, columns=columns, row_order=row_order, models=models, notes=notes,
        wrong_colour=WRONG_COLOUR, ramp=', '.join(f'rgb({r}, {g}, {b})' for r, g, b in ramp),
        png=lambda path: _uri('png', path.read_bytes()))


def _card(item: Example, palette: Sequence[Sequence[int]]) -> dict:
    layers, notes = [], {}
    colours = colour_table(palette, item.ignore_index)
    for output, labels in item.predictions.items():
        layers.append(('labels', output, _png(labels, colours)))
        if output in item.masks:
            layers.append(('mask', output, _png((item.masks[output].max(axis=0) * 255).round(),
                                                paint_values(np.linspace(0, 1, 256)))))
        if item.labels is not None:
            wrong = item.wrong(output)
            layers.append(('errors', output, _png(wrong, np.array([WRONG_COLOUR] * 2, np.uint8),
                                                  transparency=bytes([0, 255]))))
            notes[output] = f'{wrong.sum() / max(item.valid().sum(), 1):.1%} of the pixels wrong'
    if item.labels is not None:
        layers.append(('labels', 'truth', _png(item.labels, colours)))
    photo = Image.fromarray(item.image)
    photo.thumbnail((_LONG_SIDE, _LONG_SIDE))
    buffer = io.BytesIO()
    photo.save(buffer, format='JPEG', quality=88)
    return dict(name=item.name, photo=_uri('jpeg', buffer.getvalue()), layers=layers, notes=notes)


def _png(values: np.ndarray, colours: np.ndarray, **options: bytes) -> str:
    """(H, W) values up to 255 as a PNG with a table of colours: small, and exact."""
    picture = Image.fromarray(np.minimum(values, 255).astype(np.uint8))
    picture.putpalette(colours.tobytes())
    picture.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG', optimize=True, **options)
    return _uri('png', buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
