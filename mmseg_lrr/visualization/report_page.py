# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A report as one HTML file that needs nothing else: no network, no other file."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from mmseg_lrr.evaluation.trimap_curve import Curves, trimap_figure

from .colours import VALUE_MAP, class_keys, colour_table
from .example import Example
from .training_log import TrainingLog, training_figure

WRONG_COLOUR = (222, 20, 20)

_FOLDER = Path(__file__).parent
# Images are brought to this length of their longer side, in pixels, at most.
_LONG_SIDE = 720
_IMAGE, _TRUTH = 'image', 'truth'


@dataclass(frozen=True)
class PageModel:
    """What the page shows of one network.

    Attributes:
        name: Of the network.
        rows: Name of an output -> its figures as text, one for each of the table's columns.
        curves: Of the trimap plot; empty for no plot.
        log: Of its training; None where there is none.
        examples: Images to look at; empty for none.
        classes: Names of the classes.
        palette: Their RGB colours.
    """

    name: str
    rows: Mapping[str, Sequence[str]]
    curves: Curves
    log: TrainingLog | None
    examples: Sequence[Example]
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]


def report_page(title: str, columns: Sequence[str], row_order: Sequence[str],
                models: Sequence[PageModel], notes: Sequence[str]) -> str:
    """Write the page.

    Args:
        title: Heading of the page.
        columns: Headings of the figures; the best of a column whose heading names mIoU is marked.
        row_order: Names of the table's rows.
        models: At least one.
        notes: What the figures mean.

    Returns:
        HTML.
    """
    several = len(models) > 1
    parts = [
        f'<h1>{escape(title)}</h1>',
        _table(columns, row_order, models),
        '<ul class="notes">', *(f'<li>{escape(note)}</li>' for note in notes), '</ul>',
    ]
    plots = []
    for model in models:
        heading = model.name if several else ''
        if any(model.curves.values()):
            figure = trimap_figure(
                model.curves, heading or 'Near the boundaries', width=4.6, height=3.7)
            plots.append(_plot(figure, f'mean IoU near the boundaries, {model.name}'))
        if model.log is not None:
            figure = training_figure(
                model.log, f'Training, {model.name}' if several else 'Training')
            plots.append(_plot(figure, f'training curves, {model.name}'))
    if plots:
        parts += ['<h2>Curves</h2>', '<div class="plots">', *plots, '</div>']
    parts += [_viewer(model, several) for model in models if model.examples]
    style, script = ((_FOLDER / f'report_page.{kind}').read_text(encoding='utf-8')
                     for kind in ('css', 'js'))
    return '\n'.join([
        '<!DOCTYPE html>', '<html lang="en">', '<head>', '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(title)}</title>', f'<style>\n{style}</style>', '</head>', '<body>',
        *parts, f'<script>\n{script}</script>', '</body>', '</html>', ''])


def _table(columns: Sequence[str], row_order: Sequence[str], models: Sequence[PageModel]) -> str:
    lines = ['<div class="wide"><table>', '<thead>']
    if len(models) > 1:
        lines.append('<tr><th></th>' + ''.join(
            f'<th class="model" colspan="{len(columns)}">{escape(model.name)}</th>'
            for model in models) + '</tr>')
    headings = ''.join(f'<th>{escape(column)}</th>' for column in columns) * len(models)
    lines += [f'<tr><th>output</th>{headings}</tr>', '</thead>', '<tbody>']
    best = {(model.name, number): _best(model, number) for model in models
            for number, column in enumerate(columns) if 'mIoU' in column}
    for row in row_order:
        cells = []
        for model in models:
            for number, cell in enumerate(model.rows.get(row, ['-'] * len(columns))):
                is_best = cell == best.get((model.name, number))
                cells.append(f'<td{" class=best" if is_best else ""}>{escape(cell)}</td>')
        lines.append(f'<tr><th>{escape(row)}</th>{"".join(cells)}</tr>')
    return '\n'.join([*lines, '</tbody>', '</table></div>'])


def _best(model: PageModel, number: int) -> str | None:
    """The largest figure of a column, as text; None where there is none."""
    cells = [row[number] for row in model.rows.values() if row[number] != '-']
    return max(cells, key=float, default=None)


def _plot(figure: Figure, what: str) -> str:
    buffer = io.BytesIO()
    # The same report gives the same page.
    with matplotlib.rc_context({'svg.hashsalt': 'mmseg-lrr'}):
        figure.savefig(buffer, format='svg', metadata={'Date': None})
    return f'<img src="{_uri(buffer, "svg+xml")}" alt="{escape(what)}">'


def _uri(buffer: io.BytesIO, kind: str) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}'


def _viewer(model: PageModel, several: bool) -> str:
    examples = [_shrink(example) for example in model.examples]
    outputs = list(dict.fromkeys(name for item in examples for name in item.predictions))
    labelled = any(example.labels is not None for example in examples)
    masked = any(example.masks for example in examples)
    stops = [_IMAGE, *outputs, *([_TRUTH] if labelled else [])]
    ticks = ''.join(f'<button type="button" data-output="{escape(stop)}">{escape(stop)}</button>'
                    for stop in stops)
    toggles = ['<label><input type="checkbox" name="see-through"> see-through labels</label>']
    if labelled:
        toggles.append('<label><input type="checkbox" name="errors"> errors '
                       f'{_swatch(WRONG_COLOUR)}</label>')
    if masked:
        ramp = ', '.join('rgb({}, {}, {})'.format(*colormaps[VALUE_MAP](value, bytes=True)[:3])
                         for value in np.linspace(0, 1, 9))
        toggles.append(
            '<label><input type="checkbox" name="mask"> mask (maximum over classes) '
            '<span class="ramp">0<span class="swatch scale" '
            f'style="background: linear-gradient(90deg, {ramp})"></span>1</span></label>')
    shown = [labels for example in examples
             for labels in (example.labels, *example.predictions.values()) if labels is not None]
    keys = class_keys(shown, model.classes, model.palette, examples[0].ignore_index)
    heading = f'Images: {model.name}' if several else 'Images'
    return '\n'.join([
        f'<section class="viewer" style="--stops: {len(stops)}">', f'<h2>{escape(heading)}</h2>',
        '<div class="controls">',
        f'<input type="range" min="0" max="{len(stops) - 1}" step="1" value="1" '
        'aria-label="output">',
        f'<div class="ticks">{ticks}</div>',
        f'<div class="toggles">{"".join(toggles)}</div>', '</div>',
        '<ul class="keys">',
        *(f'<li>{_swatch(colour)}{escape(text)}</li>' for text, colour in keys), '</ul>',
        '<div class="cards">', *(_card(example, model.palette) for example in examples), '</div>',
        '</section>'])


def _swatch(colour: Sequence[int]) -> str:
    return f'<span class="swatch" style="background: rgb{tuple(colour)}"></span>'


def _card(example: Example, palette: Sequence[Sequence[int]]) -> str:
    notes = {}
    layers = []

    def layer(kind: str, output: str, uri: str, what: str) -> None:
        layers.append(f'<img class="layer {kind}" data-output="{escape(output)}" src="{uri}" '
                      f'alt="{escape(what)}" hidden>')

    table = colour_table(palette, example.ignore_index)
    for output, labels in example.predictions.items():
        layer('labels', output, _indexed(labels, table), f'labels of {output}')
        if output in example.masks:
            values = (example.masks[output].max(axis=0) * 255).round()
            colours = colormaps[VALUE_MAP](np.arange(256), bytes=True)[:, :3]
            layer('mask', output, _indexed(values, colours), f'boundary mask of {output}')
        if example.labels is not None:
            wrong = example.wrong(output)
            layer('errors', output, _spots(wrong, WRONG_COLOUR), f'errors of {output}')
            share = wrong.sum() / max(int(example.valid().sum()), 1)
            notes[output] = f'{share:.1%} of the pixels wrong'
    if example.labels is not None:
        layer('labels', _TRUTH, _indexed(example.labels, table), 'ground truth')
    photo = io.BytesIO()
    Image.fromarray(example.image).save(photo, format='JPEG', quality=88)
    return '\n'.join([
        f'<figure class="card" data-notes="{escape(json.dumps(notes))}">', '<div class="stage">',
        f'<img class="photo" src="{_uri(photo, "jpeg")}" alt="{escape(example.name)}">',
        *layers, '</div>',
        f'<figcaption>{escape(example.name)} <span class="note"></span></figcaption>',
        '</figure>'])


def _indexed(values: np.ndarray, colours: np.ndarray) -> str:
    """(H, W) values up to 255 as a PNG with a table of colours: small, and exact."""
    picture = Image.fromarray(np.minimum(values, 255).astype(np.uint8))
    picture.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG', optimize=True)
    return _uri(buffer, 'png')


def _spots(pixels: np.ndarray, colour: Sequence[int]) -> str:
    """(H, W) bool as a PNG that is transparent elsewhere."""
    picture = Image.fromarray(pixels.astype(np.uint8))
    picture.putpalette(bytes([*colour, *colour]))
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG', optimize=True, transparency=bytes([0, 255]))
    return _uri(buffer, 'png')


def _shrink(example: Example) -> Example:
    """An example no larger than a page needs."""
    height, width = example.image.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    if scale >= 1:
        return example
    size = (max(round(width * scale), 1), max(round(height * scale), 1))

    def pick(values: np.ndarray) -> np.ndarray:
        rows = ((np.arange(size[1]) + .5) * height / size[1]).astype(int)
        columns = ((np.arange(size[0]) + .5) * width / size[0]).astype(int)
        return values[..., rows[:, None], columns]

    return Example(
        name=example.name, image=cv2.resize(example.image, size, interpolation=cv2.INTER_AREA),
        labels=None if example.labels is None else pick(example.labels),
        predictions={name: pick(item) for name, item in example.predictions.items()},
        masks={name: pick(item) for name, item in example.masks.items()},
        ignore_index=example.ignore_index)
