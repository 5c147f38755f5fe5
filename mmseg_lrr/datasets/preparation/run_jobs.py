# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Many label maps in parallel, with a progress bar and a report."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from rich.progress import MofNCompleteColumn, Progress

from mmseg_lrr.replacing import remove_leftovers

from .label_job import STATUSES, LabelJob, Outcome

# Seconds that a label map in work is waited for when the main process has been killed.
_GRACE = 10.0

_in_work = threading.Lock()
_orphaned = threading.Event()


@dataclass
class Report:
    """What a conversion did.

    Attributes:
        counts: Label maps by status.
        problems: All that is missing, broken or not as many as it should be, one line each.
        unlisted: Problems of images that the lists leave out, as was asked for.
        lists: Lists of names and how many names each has.
        old_lists: Lists of an earlier run, kept because there are problems.
        dry_run: Whether nothing was written.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)
    old_lists: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def exit_status(self) -> int:
        """0 if all is well, 1 if there are problems."""
        return int(bool(self.problems))

    def lines(self) -> list[str]:
        """The report for a person: the problems, then the counts."""
        lines = [*self.unlisted, *self.problems]
        counts = ', '.join(f'{self.counts[status]} {status}' for status in STATUSES)
        lines.append(f'label maps: {counts}' + (' (dry run: nothing written)' * self.dry_run))
        for path, number in self.lists.items():
            lines.append(f'list {path}: {number} names' + (' (not written)' * self.dry_run))
        if self.unlisted:
            lines.append(f'broken or missing, and in no list: {len(self.unlisted)}')
        for path in self.old_lists:
            lines.append(f'list {path}: kept from an earlier run; it may name broken images')
        if self.problems:
            lines.append(f'problems: {len(self.problems)}; no list was written')
        return lines


def default_workers() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[LabelJob],
    report: Report,
    *,
    title: str,
    workers: int,
) -> list[str]:
    """Convert label maps and add what happened to the report.

    Args:
        jobs: The label maps.
        report: Takes counts and problems; its ``dry_run`` decides whether files are written.
        title: What to write before the progress bar.
        workers: Number of processes; 1 converts in this one.

    Returns:
        Names of the label maps that are now in place, in the order of the jobs.

    Raises:
        BrokenExecutor: If a worker was killed.
    """
    if not report.dry_run:
        # Also of label maps that are whole by now, and will not be written again.
        for folder in {os.path.abspath(job.target.parent) for job in jobs}:
            remove_leftovers(folder)
    run = partial(_run, dry_run=report.dry_run)
    if workers == 1 or len(jobs) < 2:
        outcomes = _track(map(run, jobs), len(jobs), title)
    else:
        # The toolbox takes seconds to import: a forked worker has it already.
        method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
        context = multiprocessing.get_context(method)
        executor = ProcessPoolExecutor(workers, context, initializer=_begin_worker)
        try:
            # All workers are forked here, before the progress bar starts its thread.
            results = executor.map(run, jobs, chunksize=max(1, min(16, len(jobs) // workers)))
            outcomes = _track(results, len(jobs), title)
        finally:
            executor.shutdown(cancel_futures=True)
    report.counts.update(outcome.status for outcome in outcomes)
    report.problems.extend(outcome.problem for outcome in outcomes if outcome.problem)
    in_place = ('written', 'replaced', 'kept')
    return [outcome.name for outcome in outcomes if outcome.status in in_place]


def _begin_worker() -> None:
    """Let this worker end with the main process, and no sooner."""
    # Ctrl-C goes to all processes: the main one stops, the workers finish what they are writing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once its parent has ended, killed or not, and its label map is written."""
    multiprocessing.parent_process().join()
    _orphaned.set()
    _in_work.acquire(timeout=_GRACE)
    os._exit(1)


def _run(job: LabelJob, dry_run: bool) -> Outcome:
    """Convert one label map, unless this is a worker whose main process has ended."""
    with _in_work:
        if _orphaned.is_set():
            os._exit(1)
        return job.run(dry_run)


def _track(outcomes: Iterable[Outcome], total: int, title: str) -> list[Outcome]:
    """Collect outcomes as they come, with a progress bar."""
    collected = []
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        task = progress.add_task(title, total=total)
        for outcome in outcomes:
            collected.append(outcome)
            progress.advance(task)
    return collected


def check_counts(report: Report, found: dict[str, int], published: dict[str, int]) -> None:
    """Add a problem for each number that is not the published one.

    Args:
        report: Takes the problems.
        found: What there is, by name.
        published: What the whole data set has, by the same names.
    """
    for name, number in found.items():
        if number != published[name]:
            report.problems.append(
                f'{name}: {number}, but the published data set has {published[name]} '
                '(--partial accepts a part of it)'
            )
