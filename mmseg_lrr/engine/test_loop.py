# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A test loop that evaluates beside the network, and goes on after failures if asked."""

import json
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
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

from mmseg_lrr.files import output_names, replacing

#: How torch marks an error of the data set that it brings over from a loading process. Others are
#: of the loader itself (a process that died, say), and no image is to blame for them.
_FROM_DATASET = ' in DataLoader worker process '


@LOOPS.register_module()
class LRRTestLoop(TestLoop):
    """mmengine's ``TestLoop``, overlapped, and able to go on without images that fail.

    CRF and metrics of a batch run on a thread of their own while the network sees the batches
    after it. The order of the images and all numbers are those of the plain loop. Hooks are called
    on the main thread, each batch's in order, but ``before_test_iter`` of a batch can come before
    ``after_test_iter`` of the ones before it.

    When an image fails, its file is named in the log and in a note on the exception, which then
    ends the test as it is; or, if failures are collected, the test goes on without the image. A
    failed image counts in none of the metrics.

    Args:
        runner: The runner.
        dataloader: The data loader, or its config. Its sampler must give the same order each time
            it is asked, as mmengine's do: files that cannot be loaded are found by it.
        evaluator: The evaluator, or its config.
        fp16: Whether the network runs in mixed precision.
        collect_failures: Whether to go on when the loading, the network, the CRF or a metric fails
            for an image. At the end all of them are logged as an error and written to
            ``failures.json`` in the work directory (``path``, ``stage`` and ``error`` of each; an
            empty list if there are none), and the metrics say how many there are,
            ``failed_images``. If something else ends the test, each process that had failures by
            then writes its own, all but the first process to ``failures_<rank>.json``. A test
            begins by removing an earlier one's lists. Needs a batch size of 1. In a distributed
            test, images that the sampler adds to make the processes' shares equal are left out.
        max_pending: Most batches whose CRF and metrics may be waiting or running while the network
            sees another; each keeps its scores in memory. 0: no overlap.

    Raises:
        ValueError: A batch size other than 1 if failures are collected, or a segmentor that would
            ignore the CRF of its ``test_cfg``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict,
                 evaluator: Evaluator | dict | list, fp16: bool = False, *,
                 collect_failures: bool = False, max_pending: int = 2) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.collect_failures = collect_failures
        self.max_pending = max_pending
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
        self._name_files()
        if self.collect_failures:
            self._remove_lists()
        # One thread, so that the order of CRF and metrics is that of the batches.
        executor = ThreadPoolExecutor(1, thread_name_prefix='evaluation')
        self._model().crf_deferred = True
        try:
            self._run_batches(executor)
            shares = dist.all_gather_object(self.failures) if self.collect_failures else []
        except BaseException:
            # The other processes may be gone, or go on: nothing is gathered from them.
            if self.failures:
                self._write_failures(self.failures)
            raise
        finally:
            self._model().crf_deferred = False
            executor.shutdown(cancel_futures=True)
        failures = [record for share in shares for record in share]
        if self.collect_failures and dist.is_main_process():
            self._write_failures(failures)

        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        if self.collect_failures:
            metrics['failed_images'] = len(failures)
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    def _model(self) -> nn.Module:
        """Return the model without the wrapper of a distributed run."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def _name_files(self) -> None:
        """Tell metrics that write label maps what to call them."""
        writing = [metric for metric in self.evaluator.metrics
                   if hasattr(metric, 'file_names') and metric.output_dir is not None]
        dataset = self.dataloader.dataset
        if writing:
            names = output_names([
                dataset.get_data_info(i)['img_path'] for i in range(len(dataset))])
        for metric in writing:
            metric.file_names = names

    def _run_batches(self, executor: Executor) -> None:
        loader, pending = self.dataloader, deque()
        batches = iter(loader)
        for number, indices in enumerate(loader.batch_sampler):
            if self.collect_failures and self._is_added(number):
                break
            paths = ', '.join(loader.dataset.get_data_info(i)['img_path'] for i in indices)
            stage = 'loading'
            try:
                batch = next(batches)
                stage = 'network'
                self.runner.call_hook('before_test_iter', batch_idx=number, data_batch=batch)
                with torch.no_grad(), autocast(enabled=self.fp16):
                    outputs = self.runner.model.test_step(batch)
            except Exception as error:
                if stage == 'loading' and loader.num_workers and _FROM_DATASET not in str(error):
                    raise
                # An earlier image's failure comes first.
                self._finish(pending, most=0)
                self._fail(paths, stage, error)
                continue
            evaluated = executor.submit(self._evaluate, batch, outputs)
            pending.append((number, paths, batch, outputs, evaluated))
            del outputs
            self._finish(pending, most=self.max_pending)
        self._finish(pending, most=0)

    def _is_added(self, number: int) -> bool:
        """Tell whether an image is one that the sampler repeats to make all shares equal."""
        position = dist.get_rank() + number * dist.get_world_size()
        return position >= len(self.dataloader.dataset)

    # On the thread of the executor; the gradient mode is each thread's own.
    @torch.no_grad()
    def _evaluate(self, batch: Any, outputs: SampleList) -> tuple[str, Exception] | None:
        """Run the CRF and the metrics of a batch; return what went wrong, and where."""
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
            return stage, error
        return None

    def _finish(self, pending: deque, most: int) -> None:
        """Take out what is evaluated, and wait until at most ``most`` batches are pending."""
        while pending and (len(pending) > most or pending[0][-1].done()):
            number, paths, batch, outputs, evaluated = pending.popleft()
            failure = evaluated.result()
            if failure is None:
                self.runner.call_hook(
                    'after_test_iter', batch_idx=number, data_batch=batch, outputs=outputs)
            else:
                self._fail(paths, *failure)

    def _fail(self, paths: str, stage: str, error: Exception) -> None:
        """Keep a failure, or raise it."""
        where = f'while testing {paths} ({stage})'
        if not self.collect_failures:
            self.runner.logger.error(f'stopped {where}')
            if hasattr(error, 'add_note'):  # Python 3.11
                error.add_note(where)
            raise error
        text = ''.join(traceback.format_exception(error))
        self.runner.logger.error(f'failed {where}:\n{text}')
        # Not the exception itself, which keeps alive what its functions had at hand.
        self.failures.append(
            dict(path=paths, stage=stage, error=f'{type(error).__name__}: {error}'))

    def _remove_lists(self) -> None:
        """Remove an earlier test's lists, before any process of this one can fail."""
        if dist.is_main_process():
            work_dir = Path(self.runner.work_dir)
            for path in (work_dir / 'failures.json', *work_dir.glob('failures_[0-9]*.json')):
                path.unlink(missing_ok=True)
        dist.barrier()

    def _write_failures(self, records: Sequence[dict[str, str]]) -> None:
        rank = dist.get_rank()
        path = Path(self.runner.work_dir) / (f'failures_{rank}.json' if rank else 'failures.json')
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(records, indent=2) + '\n')
        if records:
            lines = '\n'.join('{path} ({stage}): {error}'.format(**record) for record in records)
            self.runner.logger.error(
                f'{len(records)} images failed and are not counted in any metric; they are listed '
                f'in {path}:\n{lines}')
