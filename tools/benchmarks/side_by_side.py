# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Times several ways of one thing in turn, so that a machine's moods hit all of them alike."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch


def seconds(ways: Mapping[str, Callable[[], object]], runs: int = 7, device: str = 'cpu'
            ) -> dict[str, float]:
    """Median seconds of each way over ``runs`` rounds, after one that does not count."""
    def timed(way: Callable[[], object]) -> float:
        if device != 'cpu':
            torch.cuda.synchronize()
        start = time.perf_counter()
        way()
        if device != 'cpu':
            torch.cuda.synchronize()
        return time.perf_counter() - start

    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(runs + 1):
        for name, way in ways.items():
            duration = timed(way)
            if round_number:
                taken[name].append(duration)
    return {name: statistics.median(values) for name, values in taken.items()}


def device_line(device: str = 'cpu') -> str:
    """What the figures were measured on."""
    if device == 'cpu':
        try:
            with open('/proc/cpuinfo') as file:
                name = next(line.split(':')[1].strip() for line in file if 'model name' in line)
        except (OSError, StopIteration):
            name = platform.processor() or platform.machine()
        where = f'{name}, {torch.get_num_threads()} threads'
    else:
        where = torch.cuda.get_device_name()
    return f'{where}; torch {torch.__version__}'


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f'### {title}', '', '| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    for row in rows:
        cells = [f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in row]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'
