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
    """Show a bar on the terminal while training, with the loss, and while testing.

    Meant together with ``log_level='WARNING'``, which keeps mmengine's own lines away.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Begin the bar of the training."""
        self._start('train', runner.max_iters)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Advance the bar; show the loss."""
        self._progress.update(self._task, advance=1, note=f'loss {outputs["loss"].item():.3f}')

    def after_train(self, runner: Runner) -> None:
        """End the bar of the training."""
        self._progress.stop()

    def before_test(self, runner: Runner) -> None:
        """Begin the bar of the test."""
        self._start('test', len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Any = None) -> None:
        """Advance the bar."""
        self._progress.update(self._task, advance=1)

    def after_test(self, runner: Runner) -> None:
        """End the bar of the test."""
        self._progress.stop()

    def _start(self, name: str, total: int) -> None:
        self._progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn('{task.fields[note]}'),
            disable=not is_main_process())
        self._task = self._progress.add_task(name, total=total, note='')
        self._progress.start()
