# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checkpoints that are whole, and from which a run goes on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine import dist
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_lrr.engine import whole_files_backend  # noqa: F401  (registers 'whole_files')
from mmseg_lrr.engine.random_states import get_random_states, set_random_states
from mmseg_lrr.replacing import replacing


@HOOKS.register_module()
class LRRCheckpointHook(CheckpointHook):
    """The toolbox's ``CheckpointHook``, safe against interruption at any moment.

    * A checkpoint and ``last_checkpoint`` appear under their names when they are complete; the
      toolbox writes both in place.
    * An older checkpoint beyond ``max_keep_ckpts``, and the best so far, is removed after the new
      one is there; the toolbox removes it before.
    * The checkpoint holds the states of Python's, NumPy's and torch's random generators, of every
      process; ``--resume`` puts them back where the run stood. A validation draws from them
      without effect on the training. With the seed fixed, an iteration-based run (or an epoch-based
      one with checkpoints of whole epochs) on a CPU ends with the very weights of a run that was
      not interrupted. Workers of a data loader draw from generators of their own, which upstream's
      replay of the batches sets right; the fork onedl-mmengine does not replay them.

    Takes what ``CheckpointHook`` takes. ``published_keys`` files are still written in place.

    Raises:
        ValueError: When the training begins, if ``interval`` iterations are not whole steps of the
            optimiser (``accumulative_counts``): what was accumulated would be lost.
    """

    _states: list[dict[str, Any]] | None = None
    _to_restore: list[dict[str, Any]] | None = None
    _before_validation: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Choose the folder's backend; remove what an interrupted process left half-written."""
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if not self.by_epoch and self.interval > 0 and self.interval % counts:
            raise ValueError(
                f'interval of the checkpoint hook must be a multiple of accumulative_counts '
                f'({counts}), got {self.interval}: gradients accumulated at a checkpoint are lost')
        super().before_train(runner)
        # Remote folders replace whole objects by themselves.
        local = isinstance(
            get_file_backend(self.out_dir, backend_args=self.backend_args), LocalBackend)
        if self.backend_args is None and self.file_client_args is None and local:
            self.backend_args = dict(backend='whole_files')
        if local and dist.is_main_process():
            for left in Path(self.out_dir).glob('.*.pth.*.part'):
                left.unlink()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the random states for :meth:`before_train_epoch`."""
        self._to_restore = checkpoint.get('random_states', [])

    def before_train_epoch(self, runner: Runner) -> None:
        """After a resume, put the random states back once the batches of old are skipped."""
        states, self._to_restore = self._to_restore, None
        loop = runner.train_loop
        # Weights alone (load_from) begin a run of their own.
        if states is None or (loop.iter == 0 and loop.epoch == 0):
            return
        if len(states) != dist.get_world_size():
            runner.logger.warning(
                f'The checkpoint has the random states of {len(states)} processes, but this run '
                f'has {dist.get_world_size()}: it goes on with other random numbers')
            return
        mine = states[dist.get_rank()]
        if not hasattr(loop, 'dataloader_iterator'):
            set_random_states(mine)
            return
        inner = loop.dataloader_iterator

        def restore() -> None:
            if hasattr(inner, '_ensure_iterator'):
                # The fork makes it lazily, which draws a number.
                inner._ensure_iterator()
            set_random_states(mine)
            loop.dataloader_iterator = inner

        loop.dataloader_iterator = _Resuming(inner, loop.iter, restore)

    def before_val(self, runner: Runner) -> None:
        """Keep the random states, from which the validation's data loader draws."""
        self._before_validation = get_random_states()

    def after_val(self, runner: Runner) -> None:
        """Go on as if there had been no validation: a resumed run does not repeat it."""
        set_random_states(self._before_validation)
        self._before_validation = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the random states to a checkpoint of the training."""
        if self._states is not None:
            checkpoint['random_states'] = self._states

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save, then name the checkpoint as the last one, then remove the outdated one."""
        outdated = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._states = dist.all_gather_object(self._before_validation or get_random_states())
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        self._states = None
        if not dist.is_main_process():
            return
        with replacing(Path(runner.work_dir) / 'last_checkpoint') as temporary:
            temporary.write_text(self.last_ckpt)
        if outdated is not None:
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best; what it replaces is removed at the end."""
        if not self.save_best:
            return  # A validation without a training has not chosen a backend either.
        backend = self.file_backend
        self.file_backend = _RemovingLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
            removed = self.file_backend.removed
        finally:
            self.file_backend = backend
        for path in removed:
            backend.remove(path)


class _Resuming:
    """Batches; calls ``restore`` after the skipped ones, before the first that counts."""

    def __init__(self, inner: Any, skipped: int, restore: Callable[[], None]) -> None:
        self._inner, self._skipped, self._restore = inner, skipped, restore

    def skip_iter(self, number: int) -> None:
        """Skip all at once, as the fork's loop does."""
        self._inner.skip_iter(number)
        self._skipped = 0

    def __next__(self) -> Sequence[dict]:
        if self._skipped == 0:
            self._restore()
        self._skipped -= 1
        return next(self._inner)


class _RemovingLater:
    """A file backend that notes the files it is told to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removed: list[str] = []

    def remove(self, path: str) -> None:
        """Note the file."""
        self.removed.append(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)
