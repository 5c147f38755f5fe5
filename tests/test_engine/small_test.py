# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A runner that tests a small test set."""

import itertools
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_segmentors import build, dataset_config, lrr_config
from torch import nn

import mmseg_lrr  # noqa: F401  (registers the loop where a process has nothing but this)

CRF = dict(type='DenseCRF', iterations=1, bilateral_std_xy=20)

_numbers = itertools.count()


class Recorder(Hook):
    """Keeps what the hooks of a test are called with."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.after: list[tuple[int, list[str]]] = []
        self.scores: dict[str, Any] = {}
        self.threads: set[str] = set()

    def before_test_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.threads.add(threading.current_thread().name)
        self.before.append(batch_idx)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.threads.add(threading.current_thread().name)
        names = [Path(sample.img_path).name for sample in outputs]
        self.after.append((batch_idx, names))
        for name, sample in zip(names, outputs, strict=True):
            self.scores[name] = sample.seg_logits.data.clone()


def make_runner(model: nn.Module, folder: Path, work_dir: Path, *, loop: dict | None = None,
                pipeline: list[dict] | None = None, evaluator: Any = None, num_workers: int = 0,
                batch_size: int = 1, hooks: Sequence[dict] = ()) -> tuple[Runner, Recorder]:
    """A runner that validates, and tests with ``LRRTestLoop`` or the loop given."""
    recorder, name = Recorder(), f'small_{next(_numbers)}'
    loader = dict(batch_size=batch_size, num_workers=num_workers,
                  sampler=dict(type='DefaultSampler', shuffle=False),
                  dataset=dataset_config(folder, pipeline))
    evaluator = evaluator or dict(type='LRRIoUMetric')
    runner = Runner(
        model=model, work_dir=str(work_dir), val_dataloader=loader, val_evaluator=evaluator,
        val_cfg=dict(type='ValLoop'), test_dataloader=loader, test_evaluator=evaluator,
        test_cfg={'type': 'LRRTestLoop', **(loop or {})}, custom_hooks=[recorder, *hooks],
        visualizer=dict(type='SegLocalVisualizer', name=name,
                        vis_backends=[dict(type='LocalVisBackend')]),
        default_scope='mmseg', log_level='WARNING', experiment_name=name)
    return runner, recorder


def log_text(work_dir: Path) -> str:
    """What a runner wrote to its log file."""
    return '\n'.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def run_both(folder: Path, images: Path) -> None:
    """Test all images, then without those whose labels are missing; keep the metrics of both."""
    model = build(lrr_config(test_cfg=dict(crf=CRF, level_outputs=True)))
    evaluator = [
        dict(type='LRRIoUMetric', trimap=dict(widths=(1, 4), csv_path=str(folder / 'bands.csv'))),
        dict(type='TrimapIoUMetric', widths=(2, ), prefix='apart'),
        dict(type='VOCSubmission', output_dir=str(folder / 'out'), archive='tar')]
    first, _ = make_runner(model, images / 'all', folder / 'first', evaluator=evaluator)
    second, _ = make_runner(
        model, images / 'some', folder / 'second', loop=dict(collect_failures=True))
    metrics = [first.test(), second.test()]
    (folder / f'rank{get_rank()}.json').write_text(json.dumps(metrics))


def one_of_two(rank: int, folder: Path, images: Path) -> None:
    """A process's share of the tests."""
    os.chdir(folder)  # mmengine gathers results through a folder in the working directory
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    run_both(folder, images)
