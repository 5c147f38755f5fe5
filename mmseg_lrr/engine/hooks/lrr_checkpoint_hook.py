# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checkpoints that are whole, and from which a run goes on as if it had not stopped."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_lrr.files import replacing


@register_backend('whole_files', force=True)
class WholeFilesBackend(LocalBackend):
    """mmengine's local backend, writing under a temporary name that is renamed at the end."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; a file of that name stays as it was until all of them are on the disk."""
        with replacing(filepath) as temporary, temporary.open('wb') as file:
            file.write(obj)
            file.flush()
            # A file renamed before its content is on the disk is empty after a power cut.
            os.fsync(file.fileno())


def get_random_states() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's random generators of this process.

    Returns:
        Numbers, tuples and tensors alone, which ``torch.load(weights_only=True)`` takes. The
        current GPU's generator is among them where there is one.
    """
    name, keys, *rest = np.random.get_state()
    states = {
        'python': random.getstate(),
        'numpy': (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`get_random_states` returned."""
    random.setstate(states['python'])
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())


@HOOKS.register_module()
class LRRCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with its options, for runs that may be interrupted.

    * A checkpoint appears under its name when it is complete; mmengine writes it in place.
    * An older checkpoint beyond ``max_keep_ckpts``, and the best so far, is removed after the new
      one is there; mmengine removes it before.
    * The checkpoint holds the states of Python's, NumPy's and torch's random generators, of every
      process; ``--resume`` puts them back where the run stood. A validation draws from them
      without effect on the training. With the seed fixed, an iteration-based run (or an epoch-based
      one with checkpoints of whole epochs) on a CPU ends with the very weights of a run that was
      not interrupted, if checkpoints are of whole steps of the optimiser
      (``accumulative_counts``). Workers of a data loader draw from generators of their own, which
      mmengine's replay of the batches sets right; its fork onedl-mmengine does not replay them.
    """

    _states: list[dict[str, Any]] | None = None
    _to_restore: list[dict[str, Any]] | None = None
    _before_validation: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Choose the backend; remove what an interrupted process left half-written."""
        # mmengine warns of classes of its own that it makes and does not use.
        runner.logger.addFilter(lambda record: not record.getMessage().startswith(
            ('"FileClient" will', '"HardDiskBackend" is')))
        super().before_train(runner)
        # Remote folders replace whole objects by themselves.
        if self.backend_args is None and isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend='whole_files')
            if dist.is_main_process():
                for left in Path(self.out_dir).glob('.*.pth.*.part'):
                    left.unlink()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the random states for :meth:`before_train_epoch`."""
        self._to_restore = checkpoint.get('random_states')

    def before_train_epoch(self, runner: Runner) -> None:
        """After a resume, put the random states back once the batches already used are skipped."""
        states, self._to_restore = self._to_restore, None
        loop = runner.train_loop
        # Weights alone (load_from) begin a run of their own.
        if states is None or loop.iter == 0:
            return
        if len(states) != dist.get_world_size():
            runner.logger.warning(
                f'The checkpoint has the random states of {len(states)} processes, but this run '
                f'has {dist.get_world_size()}: it goes on with other random numbers')
        elif hasattr(loop, 'dataloader_iterator'):
            loop.dataloader_iterator = _Resuming(
                loop.dataloader_iterator, loop.iter, states[dist.get_rank()])
        else:
            set_random_states(states[dist.get_rank()])

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
        self._states = dist.all_gather_object(self._before_validation or get_random_states())
        with self._removing_afterwards():
            super()._save_checkpoint_with_step(runner, step, meta)
        self._states = None

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if self.save_best:  # A validation without a training has not chosen a backend.
            with self._removing_afterwards():
                super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_afterwards(self) -> Iterator[None]:
        """Remove outdated checkpoints when the new one is there."""
        remove, outdated = self.file_backend.remove, []
        self.file_backend.remove = outdated.append
        try:
            yield
        finally:
            self.file_backend.remove = remove
        # Names repeat where the epoch does, as in an iteration-based loop.
        current = {self.last_ckpt, getattr(self, 'best_ckpt_path', None),
                   *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for path in outdated:
            if path not in current:
                remove(path)


class _Resuming:
    """Batches; puts the random states back after the skipped ones, before the first that counts."""

    def __init__(self, batches: Any, skipped: int, states: dict[str, Any]) -> None:
        self._batches, self._skipped, self._states = batches, skipped, states

    def skip_iter(self, number: int) -> None:
        """Skip all at once, as onedl-mmengine's loop does."""
        self._batches.skip_iter(number)
        self._skipped = 0

    def __next__(self) -> Any:
        if self._skipped == 0:
            if hasattr(self._batches, '_ensure_iterator'):
                # onedl-mmengine makes it at the first batch, which draws a number.
                self._batches._ensure_iterator()
            set_random_states(self._states)
        self._skipped -= 1
        return next(self._batches)
