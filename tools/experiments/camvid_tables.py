# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Tables and curves from the rows of the CamVid experiment that are there."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from camvid_rows import ROWS, TRIMAP_WIDTHS

from mmseg_lrr.replacing import replacing
from mmseg_lrr.visualization.plots import plot_trimap_curves, write_trimap_csv

#: Lines of the plot, all trained at once; the CSV file has all rows.
PLOTTED = ('fcn32s', 'fcn8s', 'lrr32x', 'lrr4x-unmasked', 'lrr4x-masked, at once',
           'lrr4x-masked-de, at once')

#: Rows whose levels have a table of their own.
BY_LEVEL = ('lrr4x-unmasked', 'lrr4x-masked, at once', 'lrr4x-masked-de, at once',
            'lrr4x-unmasked, 32x first', 'lrr4x-masked, 32x first', 'lrr4x-masked-de, 32x first')

#: Width whose figure stands in the main table.
MAIN_WIDTH = 3

_NO_FIGURE = '-'

Rows = dict[str, list[dict]]


def read_rows(folder: Path) -> Rows:
    """Read the rows that are finished, in the experiment's order; one entry a seed."""
    found: Rows = {row: [] for row in ROWS}
    for path in sorted(folder.glob('*.json')):
        figures = json.loads(path.read_text())
        found[figures['row']].append(figures)
    return {row: runs for row, runs in found.items() if runs}


def figure(runs: Sequence[dict], of: Callable[[dict], float | None], digits: int = 1) -> str:
    """Write the mean over the seeds, with the standard deviation where there are several."""
    values = [value for value in map(of, runs) if value is not None]
    if not values:
        return _NO_FIGURE
    text = f'{statistics.mean(values):.{digits}f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.{digits}f}'
    return text


def main_table(rows: Rows) -> str:
    """The table to stand beside the poster's: one line a row."""
    heading = ['row', '32x', '16x', '8x', 'final', f'trimap {MAIN_WIDTH} px', 'ms', 'ms-crf',
               's/image', 'training, min', 'parameters, M', 'seeds']
    lines = [heading]
    for row, runs in rows.items():
        levels = [
            figure(runs, lambda run, level=level: run['levels'].get(level))
            for level in ('32x', '16x', '8x')
        ]
        lines.append([
            row, *levels,
            figure(runs, lambda run: run['miou']),
            figure(runs, lambda run: run['trimap'][str(MAIN_WIDTH)]),
            figure(runs, lambda run: run['ms']),
            figure(runs, lambda run: run['ms_crf']),
            f'{statistics.mean(run["cpu_seconds_an_image"] for run in runs):.3f}',
            f'{statistics.mean(run["train_cpu_seconds"] for run in runs) / 60:.1f}',
            f'{runs[0]["parameters"] / 1e6:.2f}',
            str(len(runs)),
        ])
    return markdown(lines)


def trimap_table(rows: Rows) -> str:
    """The trimap curves as a table: mIoU of the final output, one column a width."""
    return _bands({
        row: [{'trimap': run['trimap'], 'miou': run['miou']} for run in runs]
        for row, runs in rows.items()
    })


def level_table(rows: Rows) -> str:
    """The same of every level of the rows of :data:`BY_LEVEL`; empty if none is there."""
    outputs = {}
    for row in BY_LEVEL:
        runs = rows.get(row, [])
        for level in runs[0]['levels'] if runs else ():
            outputs[f'{row}: {level}'] = [
                {'trimap': run['trimap_levels'][level], 'miou': run['levels'][level]}
                for run in runs
            ]
    return _bands(outputs) if outputs else ''


def _bands(outputs: dict[str, list[dict]]) -> str:
    lines = [['output', *(f'{width} px' for width in TRIMAP_WIDTHS), 'all']]
    for name, runs in outputs.items():
        lines.append([
            name,
            *(figure(runs, lambda run, width=width: run['trimap'][str(width)])
              for width in TRIMAP_WIDTHS),
            figure(runs, lambda run: run['miou']),
        ])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table with its first line as heading."""
    rule = ['---'] + ['---:'] * (len(lines[0]) - 1)
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in [lines[0], rule, *lines[1:]])


def write_results(rows: Rows, heading: str, folder: Path) -> str:
    """Write ``results.json``, ``results.md``, ``trimap.csv`` and ``trimap.png``.

    Args:
        rows: What :func:`read_rows` gives.
        heading: What was run; stands above the tables.
        folder: Folder of the files.

    Returns:
        What ``results.md`` holds.
    """
    text = f'{heading}\n\n{main_table(rows)}\n{trimap_table(rows)}\n{level_table(rows)}'
    with replacing(folder / 'results.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    with replacing(folder / 'results.json') as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + '\n')
    curves = {
        row: {
            width: statistics.mean(run['trimap'][str(width)] for run in runs)
            for width in TRIMAP_WIDTHS
        }
        for row, runs in rows.items()
    }
    write_trimap_csv(folder / 'trimap.csv', curves)
    plotted = {row: curve for row, curve in curves.items() if row in PLOTTED}
    plot_trimap_curves(
        folder / 'trimap.png', plotted or curves, 'CamVid val: mean IoU near boundaries')
    return text
