# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A test loop that goes on after failures if asked, and evaluates beside the network."""

import json
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, TestLoop
from mmengine.runner.amp import autocast
from mmseg.registry import LOOPS
from mmseg.utils import SampleList
from torch import nn
from torch.utils.data import DataLoader

from mmseg_lrr.ops import checks
from mmseg_lrr.replacing import replacing

#: How torch marks an error of the data set that it brings over from a loading process. Others are
#: of the loader itself (a process that died, say), and no image is to blame for them.
_FROM_DATASET = ' in DataLoader worker process '


@dataclass(frozen=True)
class Failure:
    """What went wrong with a batch.

    Attributes:
        paths: Files of its images, joined by commas.
        stage: ``'loading'``, ``'network'``, ``'crf'`` or ``'metric'``.
        error: The exception.
    """

    paths: str
    stage: str
    error: Exception

    def record(self) -> dict[str, str]:
        """Return it as text: ``path``, ``stage`` and ``error``."""
        error = f'{type(self.error).__name__}: {self.error}'
        return {'path': self.paths, 'stage': self.stage, 'error': error}

    def traceback(self) -> str:
        """Return the exception with where it came from."""
        return ''.join(traceback.format_exception(self.error))


@dataclass(frozen=True)
class _Pending:
    """A batch that has gone through the network; ``failure`` becomes a ``Failure`` or None."""

    number: int
    data: Any
    outputs: SampleList
    failure: Future


class _ThisThread(Executor):
    """Runs what it is given at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@LOOPS.register_module()
class LRRTestLoop(TestLoop):
    """The toolbox's ``TestLoop``, overlapped, and able to go on without images that fail.

    CRF and metrics of a batch run on a thread of their own while the network sees the batches
    after it. The order of the images and all numbers are those of the plain loop. Hooks are called
    on the main thread, each batch's in order, but ``before_test_iter`` of a batch can come before
    ``after_test_iter`` of the ones before it.

    When an image fails, its file is named in the log and in a note on the exception, which then
    ends the test as it is; or, if failures are collected, the test goes on without the image. A
    failed image counts in none of the metrics.

    Args:
        runner: the runner.
        dataloader: the data loader, or its config. Its sampler must give the same order each time
            it is asked, as the toolbox's do: files that cannot be loaded are found by it.
        evaluator: the evaluator, or its config.
        fp16: whether the network runs in mixed precision.
        collect_failures: whether to go on when the loading, the network, the CRF or a metric fails
            for an image. At the end all of them are logged as an error and written to
            ``failures.json`` in the work directory (``path``, ``stage`` and ``error`` of each; an
            empty list if there are none), and the metrics say how many there are,
            ``failed_images``. If something else ends the test, each process that had failures by
            then writes its own, all but the first process to ``failures_<rank>.json``. A test
            begins by removing an earlier one's lists. Needs a batch size of 1. In a distributed
            test, images that the sampler adds to make the processes' shares equal are left out.
        max_pending: most batches whose CRF and metrics may be waiting or running while the network
            sees another; each keeps its scores in memory. 0: no overlap.

    Raises:
        ValueError: when built, on a batch size other than 1 if failures are collected, or a
            segmentor that would ignore the CRF of its ``test_cfg``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict,
                 evaluator: Evaluator | dict | list, fp16: bool = False, *,
                 collect_failures: bool = False, max_pending: int = 2) -> None:
        self.collect_failures = checks.boolean('collect_failures', collect_failures)
        self.max_pending = checks.integer('max_pending', max_pending, 0)
        super().__init__(runner, dataloader, evaluator, checks.boolean('fp16', fp16))
        if collect_failures and self.dataloader.batch_size != 1:
            raise ValueError('collect_failures needs test_dataloader.batch_size=1, to tell which '
                             f'image of a batch failed; got {self.dataloader.batch_size!r}')
        model = self._model()
        if not hasattr(model, 'apply_crf') and (getattr(model, 'test_cfg', None) or {}).get('crf'):
            raise ValueError(f'test_cfg.crf is set, but {type(model).__name__} runs no CRF; use '
                             "model.type='LRREncoderDecoder'")
        self.failures: list[dict[str, str]] = []

    def run(self) -> dict:
        """Test.

        Returns:
            The metrics, and ``failed_images`` if failures are collected.
        """
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        self.failures = []
        if self.collect_failures:
            self._remove_lists()
        try:
            with self._executor() as executor, self._crf_left_to_this_loop():
                self._run_batches(executor)
            num_failed = self._report_failures() if self.collect_failures else 0
        except BaseException:
            # The other processes may be gone, or go on: nothing is gathered from them.
            if self.failures:
                self._write_failures(self.failures)
            raise

        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        if self.collect_failures:
            metrics['failed_images'] = num_failed
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    # ------------------------------------------------------------------ batches

    def _run_batches(self, executor: Executor) -> None:
        pending: deque[_Pending] = deque()
        for number, paths, batch in self._batches():
            failure = batch if isinstance(batch, Failure) else None
            if failure is None:
                self.runner.call_hook('before_test_iter', batch_idx=number, data_batch=batch)
                outputs = self._predict(paths, batch)
                failure = outputs if isinstance(outputs, Failure) else None
            if failure is None:
                evaluated = executor.submit(self._evaluate, paths, batch, outputs)
                pending.append(_Pending(number, batch, outputs, evaluated))
                del outputs
            else:
                # An earlier image's failure comes first.
                self._finish(pending, most=0)
                self._note(failure)
            self._finish(pending, most=self.max_pending)
        self._finish(pending, most=0)

    def _batches(self) -> Iterator[tuple[int, str, Any]]:
        """Give each batch's number and files, and its data or the failure to load them."""
        loader = self.dataloader
        batches = iter(loader)
        for number, indices in enumerate(loader.batch_sampler or loader.sampler):
            if self.collect_failures and self._is_added(number):
                return
            paths = self._paths(indices if isinstance(indices, Sequence) else [indices])
            try:
                batch = next(batches)
            except Exception as error:
                if loader.num_workers and _FROM_DATASET not in str(error):
                    raise
                batch = Failure(paths, 'loading', error)
            yield number, paths, batch

    def _is_added(self, number: int) -> bool:
        """Whether an image is one that the sampler repeats to make all shares equal."""
        position = dist.get_rank() + number * dist.get_world_size()
        return position >= len(self.dataloader.dataset)

    def _paths(self, indices: Sequence[int]) -> str:
        """Name the files of a batch by their indices in the data set."""
        dataset = self.dataloader.dataset
        names = [f'image {index}' for index in indices]
        if hasattr(dataset, 'get_data_info'):
            infos = [dataset.get_data_info(index) for index in indices]
            names = [info.get('img_path', name) for info, name in zip(infos, names, strict=True)]
        return ', '.join(names)

    @torch.no_grad()
    def _predict(self, paths: str, batch: Any) -> SampleList | Failure:
        try:
            with autocast(enabled=self.fp16):
                return self.runner.model.test_step(batch)
        except Exception as error:
            return Failure(paths, 'network', error)

    # On the thread of the executor; the gradient mode is each thread's own.
    @torch.no_grad()
    def _evaluate(self, paths: str, batch: Any, outputs: SampleList) -> Failure | None:
        """Run the CRF and the metrics of a batch; give what went wrong."""
        counted = [len(metric.results) for metric in self.evaluator.metrics]
        stage = 'crf'
        try:
            if hasattr(self._model(), 'apply_crf'):
                self._model().apply_crf(outputs)
            stage = 'metric'
            self.evaluator.process(data_samples=outputs, data_batch=batch)
        except Exception as error:
            # Metrics that had counted the image before another failed must not.
            for metric, count in zip(self.evaluator.metrics, counted, strict=True):
                del metric.results[count:]
            return Failure(paths, stage, error)
        return None

    def _finish(self, pending: deque[_Pending], most: int) -> None:
        """Take out what is evaluated, and wait until at most ``most`` batches are pending."""
        while pending and (len(pending) > most or pending[0].failure.done()):
            batch = pending.popleft()
            failure = batch.failure.result()
            if failure is not None:
                self._note(failure)
            else:
                self.runner.call_hook('after_test_iter', batch_idx=batch.number,
                                      data_batch=batch.data, outputs=batch.outputs)

    # ------------------------------------------------------------------ failures

    def _note(self, failure: Failure) -> None:
        """Keep a failure, or raise it."""
        where = f'while testing {failure.paths} ({failure.stage})'
        if not self.collect_failures:
            self.runner.logger.error(f'stopped {where}')
            if hasattr(failure.error, 'add_note'):  # Python 3.11
                failure.error.add_note(where)
            raise failure.error
        self.runner.logger.error(f'failed {where}:\n{failure.traceback()}')
        # Not the exception itself, which keeps alive what its functions had at hand.
        self.failures.append(failure.record())

    def _report_failures(self) -> int:
        """Log and write the failures of all processes; return their number."""
        shares = dist.all_gather_object(self.failures)
        records = [record for share in shares for record in share]
        if dist.is_main_process():
            self._write_failures(records)
        return len(records)

    def _list_path(self) -> Path:
        """Where this process writes failures."""
        rank = dist.get_rank()
        return Path(self.runner.work_dir) / (f'failures_{rank}.json' if rank else 'failures.json')

    def _remove_lists(self) -> None:
        """Remove an earlier test's lists.

        Each process removes its own, which no other may have written by then; those of processes
        that this test does not have, the first.
        """
        self._list_path().unlink(missing_ok=True)
        if dist.is_main_process():
            for path in Path(self.runner.work_dir).glob('failures_*.json'):
                rank = path.stem.removeprefix('failures_')
                if rank.isdecimal() and int(rank) >= dist.get_world_size():
                    path.unlink()

    def _write_failures(self, records: list[dict[str, str]]) -> None:
        path = self._list_path()
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(records, indent=2) + '\n')
        if records:
            lines = '\n'.join(f'{record["path"]} ({record["stage"]}): {record["error"]}'
                              for record in records)
            self.runner.logger.error(
                f'{len(records)} images failed and count in no metric; they are listed in '
                f'{path}:\n{lines}')

    # ------------------------------------------------------------------ the model's CRF

    def _model(self) -> nn.Module:
        """The model without the wrapper of a distributed run."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    @contextmanager
    def _crf_left_to_this_loop(self) -> Iterator[None]:
        model = self._model()
        if not hasattr(model, 'crf_deferred'):
            yield
            return
        before, model.crf_deferred = model.crf_deferred, True
        try:
            yield
        finally:
            model.crf_deferred = before

    @contextmanager
    def _executor(self) -> Iterator[Executor]:
        """One thread for CRF and metrics, so that their order is that of the batches."""
        if not self.max_pending:
            yield _ThisThread()
            return
        executor = ThreadPoolExecutor(1, thread_name_prefix='evaluation')
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)
