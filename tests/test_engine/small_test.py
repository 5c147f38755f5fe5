# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A small test set on disk and a runner that tests it."""

import itertools
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_segmentors import random_image, single_pipeline
from torch import nn

NUM_IMAGES = 5
CRF = dict(type='DenseCRF', iterations=1, bilateral_std_xy=20)

_numbers = itertools.count()


def make_images(folder: Path, count: int = NUM_IMAGES) -> Path:
    """Write images of different sizes and their labels of 3 classes."""
    for name in ('images', 'labels'):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        height, width = 40 + 3 * index, 60 - 5 * index
        cv2.imwrite(str(folder / 'images' / f'{index}.png'), random_image(height, width, index))
        labels = np.random.default_rng(index).integers(0, 3, (height, width), np.uint8)
        cv2.imwrite(str(folder / 'labels' / f'{index}.png'), labels)
    return folder


def dataset_config(folder: Path, pipeline: list[dict] | None = None) -> dict:
    """All images of the folder, in the order of their names."""
    return dict(
        type='BaseSegDataset', data_root=str(folder), img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]]),
        pipeline=single_pipeline(file=True) if pipeline is None else pipeline)


class Recorder(Hook):
    """Keeps what the hooks of a test are called with."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.after: list[tuple[int, list[str]]] = []
        self.scores: dict[str, Any] = {}
        self.threads: set[str] = set()

    def before_test_iter(self, runner, batch_idx, data_batch=None) -> None:  # noqa: ANN001
        self.threads.add(threading.current_thread().name)
        self.before.append(batch_idx)

    def after_test_iter(self, runner, batch_idx, data_batch=None,  # noqa: ANN001
                        outputs=None) -> None:  # noqa: ANN001
        self.threads.add(threading.current_thread().name)
        names = [Path(sample.img_path).name for sample in outputs]
        self.after.append((batch_idx, names))
        for name, sample in zip(names, outputs, strict=True):
            self.scores[name] = sample.seg_logits.data.clone()


def make_runner(model: nn.Module, folder: Path, work_dir: Path, *, loop: dict | None = None,
                pipeline: list[dict] | None = None, evaluator: Any = None, num_workers: int = 0,
                batch_size: int = 1) -> tuple[Runner, Recorder]:
    """A runner with ``LRRTestLoop``, or the loop given."""
    recorder = Recorder()
    loop = {'type': 'LRRTestLoop', **(loop or {})}
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        test_dataloader=dict(
            batch_size=batch_size, num_workers=num_workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset_config(folder, pipeline)),
        test_evaluator=dict(type='LRRIoUMetric') if evaluator is None else evaluator,
        test_cfg=loop,
        custom_hooks=[recorder],
        visualizer=dict(type='SegLocalVisualizer', name='test_loop'),
        default_scope='mmseg',
        log_level='WARNING',
        experiment_name=f'test_loop_{next(_numbers)}')
    return runner, recorder


def log_text(work_dir: Path) -> str:
    """What a runner wrote to its log file."""
    return '\n'.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))
