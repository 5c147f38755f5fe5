# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A progress bar for runs that a person watches."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show one bar a phase (train, validate, test) on the terminal, with the loss while training.

    Meant together with ``log_level='WARNING'``, which keeps the toolbox's own lines away.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def _start(self, name: str, total: int) -> None:
        if not is_main_process():
            return
        self._stop()
        self._progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn('{task.fields[note]}'))
        self._task = self._progress.add_task(name, total=total, note='')
        self._progress.start()

    def _step(self, note: str = '') -> None:
        if self._progress is not None:
            self._progress.update(self._task, advance=1, note=note)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def before_train(self, runner: Runner) -> None:
        """Begin the bar of the training."""
        self._start('train', runner.max_iters)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Advance the bar; show the loss."""
        self._step(f'loss {outputs["loss"].item():.3f}' if outputs else '')

    def after_train(self, runner: Runner) -> None:
        """End the bar of the training."""
        self._stop()

    def before_test(self, runner: Runner) -> None:
        """Begin the bar of the test."""
        self._start('test', len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Any = None) -> None:
        """Advance the bar."""
        self._step()

    def after_test(self, runner: Runner) -> None:
        """End the bar of the test."""
        self._stop()
