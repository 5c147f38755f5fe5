# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checkpoints that are whole, and from which a run goes on as if it had not stopped."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine import dist
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.fileio.backends import backends
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from mmseg_lrr.engine import whole_files_backend  # noqa: F401  (registers 'whole_files')
from mmseg_lrr.engine.random_states import get_random_states, set_random_states
from mmseg_lrr.ops import checks
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

    ``published_keys`` files are still written in place.

    Args:
        **options: Those of ``CheckpointHook``.

    Raises:
        TypeError, ValueError: When built, on an option that ``CheckpointHook`` does not have, or a
            bad value.
        ValueError: When the training begins, if a checkpoint would not be of whole steps of the
            optimiser (``accumulative_counts``), as what was accumulated would be lost; or if it is
            resumed inside an epoch of an epoch-based loop, which goes on with whole ones only.
    """

    _states: list[dict[str, Any]] | None = None
    _to_restore: list[dict[str, Any]] | None = None
    _before_validation: dict[str, Any] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**_checked(options))

    def before_train(self, runner: Runner) -> None:
        """Choose the folder's backend; remove what an interrupted process left half-written."""
        self._check_resumable(runner)
        super().before_train(runner)
        # Remote folders replace whole objects by themselves.
        local = isinstance(
            get_file_backend(self.out_dir, backend_args=self.backend_args), LocalBackend)
        if self.backend_args is None and self.file_client_args is None and local:
            self.backend_args = dict(backend='whole_files')
        if local and dist.is_main_process():
            for left in Path(self.out_dir).glob('.*.pth.*.part'):
                left.unlink()

    def _check_resumable(self, runner: Runner) -> None:
        """Refuse checkpoints from which the run could not go on to the same weights."""
        loop = runner.train_loop
        in_epochs = isinstance(loop, EpochBasedTrainLoop)
        if in_epochs and not self.by_epoch:
            runner.logger.warning(
                'by_epoch of the checkpoint hook is False, but EpochBasedTrainLoop can be resumed '
                'from checkpoints of whole epochs only: set it to True')
        if in_epochs and loop.iter % len(loop.dataloader):
            raise ValueError(
                f'the checkpoint to resume is of iteration {loop.iter}, inside an epoch of '
                f'{len(loop.dataloader)} iterations: EpochBasedTrainLoop goes on from whole epochs '
                'only; train with by_epoch=True in the checkpoint hook')
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        moments = {}
        # An iteration-based loop has but one epoch, whose end is that of the training.
        if self.interval > 0 and (in_epochs or not self.by_epoch):
            moments = {'interval of the checkpoint hook': self.interval,
                       'save_begin of the checkpoint hook': self.save_begin}
        # The last checkpoint is written again after a validation, to know of the best.
        if moments and self.save_best and in_epochs == self.by_epoch:
            moments['val_interval with save_best of the checkpoint hook'] = loop.val_interval
        length = len(loop.dataloader) if self.by_epoch else 1
        for name, number in moments.items():
            if number * length % counts:
                epochs = f' epochs of {length} iterations' if self.by_epoch else ''
                raise ValueError(
                    f'{name} must be a multiple of accumulative_counts ({counts}), '
                    f'got {number}{epochs}: gradients accumulated at a checkpoint are lost')

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
            backend_args=self.backend_args)
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
        best = ([self.best_ckpt_path] if len(self.key_indicators) == 1
                else self.best_ckpt_path_dict.values())
        for path in removed:
            # Names repeat where the epoch does, as in an iteration-based loop.
            if path not in best:
                backend.remove(path)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the toolbox's hook, which takes most values without a word."""
    accepted = [name for name, parameter in inspect.signature(CheckpointHook).parameters.items()
                if parameter.kind is not parameter.VAR_KEYWORD]
    for name in options:
        checks.one_of('LRRCheckpointHook option', name, accepted)
    for name, meaning in (('interval', 'never'), ('max_keep_ckpts', 'all')):
        if checks.integer(name, options.get(name, -1), -1) == 0:
            raise ValueError(f'{name} must be -1 ({meaning}) or an integer >= 1, got 0')
    checks.integer('save_begin', options.get('save_begin', 0), 0)
    for name in ('by_epoch', 'save_optimizer', 'save_param_scheduler', 'save_last'):
        checks.boolean(name, options.get(name, True))

    given = {name: value for name, value in options.items() if value is not None}
    if 'out_dir' in given:
        checks.path('out_dir', given['out_dir'])
    if 'filename_tmpl' in given:
        template = checks.text('filename_tmpl', given['filename_tmpl'])
        if template.count('{}') != 1 or template.count('{') + template.count('}') != 2:
            raise ValueError('filename_tmpl must have one {}, for the epoch or iteration, got '
                             f'{template!r}')
        if Path(template).name != template:
            raise ValueError('filename_tmpl must name files of the folder itself, without '
                             f'separators, got {template!r}')
    for name in ('backend_args', 'file_client_args'):
        if not isinstance(given.get(name, {}), Mapping):
            raise TypeError(f'{name} must be a dict, got {given[name]!r}')
    if 'backend' in given.get('backend_args', {}):
        checks.one_of("backend_args['backend']", given['backend_args']['backend'], backends)
    for name in ('save_best', 'rule', 'greater_keys', 'less_keys', 'published_keys'):
        if name in given:
            given[name] = _texts(name, given[name])
    lowered = [{key.lower() for key in given.get(name, ())}
               for name in ('greater_keys', 'less_keys')]
    if set.intersection(*lowered):
        raise ValueError('less_keys must be other metrics than greater_keys, got '
                         f'{given["less_keys"]!r} with greater_keys={given["greater_keys"]!r}')
    _check_best(given)
    return {**options, **given}


def _check_best(given: dict[str, Any]) -> None:
    """Check how the best checkpoint is told."""
    best, rule = given.get('save_best'), given.get('rule')
    if best is not None and 'auto' in best and len(best) > 1:
        raise ValueError(f"save_best must be 'auto' alone or names of metrics, got {best!r}")
    if rule is not None:
        if best is None or len(rule) not in (1, len(best)):
            raise ValueError('rule must be one for all, or one for each metric of save_best, got '
                             f'{rule!r} with save_best={best!r}')
        for name in rule:
            checks.one_of('rule', name, CheckpointHook.rule_map)


def _texts(name: str, value: Any) -> list[str]:
    """Return one text or a list of different ones as a list."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts:
        raise TypeError(f'{name} must be text or a list of it, got {value!r}')
    for i, text in enumerate(texts):
        checks.text(f'{name}[{i}]' if texts is value else name, text)
    if len(set(texts)) < len(texts):
        raise ValueError(f'{name} must differ from one another, got {value!r}')
    return list(texts)


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
