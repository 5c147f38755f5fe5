# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Losses and validation scores from the log of a training."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_lrr.evaluation.figure import new_figure, title_figure

#: Iteration -> value.
Series = dict[int, float]


@dataclass(frozen=True)
class TrainingLog:
    """What a training logged.

    Attributes:
        losses: Name of a loss, without the head's prefix -> its series.
        scores: ``mIoU`` of the validations, and of each level (``32x``, ...), in percent.
    """

    losses: dict[str, Series] = field(default_factory=dict)
    scores: dict[str, Series] = field(default_factory=dict)


def read_training_log(work_dir: str | Path) -> TrainingLog | None:
    """Read the logs that the toolbox's runner wrote into a work directory.

    Of several runs the later ones win: one that resumed goes on where its first line says, one that
    began anew replaces what was before.

    Args:
        work_dir: Folder with ``<time>/vis_data/scalars.json``, one for each run.

    Returns:
        The log; None where no training is in it.

    Raises:
        ValueError: A line of a log is not JSON.
    """
    losses: dict[str, Series] = {}
    scores: dict[str, Series] = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        records = _records(path)
        steps = [record['step'] for record in records if 'loss' in record]
        if not steps:
            continue  # a test
        for series in (*losses.values(), *scores.values()):
            for step in [step for step in series if step >= steps[0]]:
                del series[step]
        # Validations are logged by epoch where iterations are.
        by_epoch = any('epoch' in record for record in records)
        last = steps[0]
        for record in records:
            if 'loss' in record:
                last = record['step']
                _collect(losses, last, {name: value for name, value in record.items()
                                        if 'loss' in name})
            else:
                _collect(scores, last if by_epoch else record['step'],
                         {name: value for name, value in record.items()
                          if re.fullmatch(r'mIoU(_\d+x)?', name)})
    if not losses:
        return None
    return TrainingLog(
        {name.removeprefix('decode.'): series for name, series in losses.items() if series},
        {name.removeprefix('mIoU_'): series for name, series in scores.items() if series})


def training_figure(log: TrainingLog, title: str = 'Training', *, width: float = 4.6,
                    height: float = 5.2) -> Figure:
    """Draw the losses over the iterations and, below, the validations' mean IoU where there are.

    Args:
        log: What to draw.
        title: Above it.
        width: Of the figure in inches.
        height: Likewise.
    """
    figure = new_figure(width, height)
    title_figure(figure, title)
    rows = 2 if log.scores else 1
    axes, *below = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    _plot(axes, log.losses, marker=None)
    axes.set_yscale('log')
    axes.set_ylabel('loss')
    for axes in below:
        # The final output is the finest level; its own line would cover it.
        levels = {name: series for name, series in log.scores.items() if name != 'mIoU'}
        _plot(axes, levels or log.scores, marker='o')
        axes.set_ylabel('validation mIoU (%)')
    axes.set_xlabel('iteration')
    return figure


def _plot(axes: Axes, lines: dict[str, Series], marker: str | None) -> None:
    for name, series in sorted(lines.items(), key=lambda item: _order(item[0])):
        steps = sorted(series)
        axes.plot(steps, [series[step] for step in steps], marker=marker, markersize=4,
                  linewidth=1.3, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, .5), frameon=False)


def _order(name: str) -> tuple:
    """By kind, then coarse to fine."""
    stride = re.search(r'(\d+)x$', name)
    return (name[:stride.start()], -int(stride[1])) if stride else (name, 0)


def _records(path: Path) -> list[dict]:
    records = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}, line {number} is not JSON: {error}') from error
    return records


def _collect(into: dict[str, Series], step: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        if math.isfinite(value):
            into.setdefault(name, {})[step] = value
