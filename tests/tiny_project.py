# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A project of a user: a config over the package's runtime, a tiny network, a few images."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_segmentors import lrr_config, random_image, single_pipeline, tta_pipeline

from mmseg_lrr.apis import toolbox

_numbers = itertools.count()

REPO_ROOT = Path(__file__).resolve().parents[1]

_CONFIG = """
_base_ = [{runtime!r}]
model = {model!r}
dataset = {dataset!r}
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline={train_pipeline!r}, **dataset))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline={test_pipeline!r}, **dataset))
val_dataloader = test_dataloader
val_evaluator = dict(type='LRRIoUMetric', trimap=dict(widths=(1, 4)), boundary_iou=dict(),
                     boundary_f=dict(widths=[2]))
test_evaluator = val_evaluator
tta_pipeline = {tta_pipeline!r}
train_cfg = dict(type='IterBasedTrainLoop', max_iters={iterations}, val_interval={val_interval})
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=0.5))))
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end={iterations}, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(interval={interval}, max_keep_ckpts={keep}), logger=dict(interval=1))
custom_hooks = [
    dict(type='ClassBasesHook', num_patches=20, seed=0), dict(type='CoefficientRatesHook')]
randomness = dict(seed=7)
"""


def make_project(folder: Path, *, images: int = 8, iterations: int = 4, interval: int = 1,
                 val_interval: int = 1000, keep: int = 2, augment: bool = True) -> Path:
    """Write the images, their labels and ``config.py``.

    Args:
        folder: Where, empty.
        images: Number of images.
        iterations: Length of the training.
        interval: Iterations between checkpoints.
        val_interval: Iterations between validations.
        keep: Checkpoints that are kept.
        augment: Whether training crops and flips at random.

    Returns:
        The folder.
    """
    for index in range(images):
        height, width = 64 + 8 * (index % 3), 72
        rows, columns = np.mgrid[:height, :width]
        labels = np.digitize(rows + .3 * columns, [20 + index, 55]).astype(np.uint8)
        labels[:4] = 255
        for name, array in (('images', random_image(height, width, index)), ('labels', labels)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / f'{index:04d}.png'), array)
    dataset = dict(
        type='BaseSegDataset', data_root='.', img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [9, 9, 9], [99, 99, 99]]))
    random_part = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')]
    train_pipeline = [
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(64, 64)) if augment
        else dict(type='Resize', scale=(64, 64), keep_ratio=False),
        *(random_part if augment else []), dict(type='PackSegInputs')]
    model = lrr_config()
    model['backbone'].update(base_channels=4, norm_eval=True)
    model['data_preprocessor'].update(size=(64, 64), seg_pad_val=255)
    # With a mask branch, as it is by default.
    model['decode_head'].pop('dilation_erosion')
    model['decode_head']['in_channels'] = [4, 8, 16, 32]
    (folder / 'config.py').write_text(_CONFIG.format(
        runtime=str(REPO_ROOT / 'configs' / 'lrr' / '_base_' / 'default_runtime.py'),
        model={**model, 'pretrained': None}, dataset=dataset, train_pipeline=train_pipeline,
        test_pipeline=single_pipeline(file=True), tta_pipeline=tta_pipeline(file=True),
        iterations=iterations, val_interval=val_interval, interval=interval, keep=keep))
    return folder


def train(monkeypatch: pytest.MonkeyPatch, folder: Path, work_dir: str, *options: str) -> Path:
    """Run ``tools/train.py config.py`` in this process.

    Args:
        monkeypatch: Changes the working directory, and leaves out what a small run does not need.
        folder: The project.
        work_dir: Name of the work folder in it.
        options: More of the command line, ``--cfg-options`` last.

    Returns:
        The work folder.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    # Loggers and their records are kept by the experiment's name.
    own = [] if '--cfg-options' in options else ['--cfg-options']
    toolbox.train(['config.py', '--work-dir', work_dir, *options, *own,
                   f'experiment_name=tiny_{next(_numbers)}', 'log_level=WARNING'])
    return folder / work_dir


def environment(**more: str) -> dict[str, str]:
    """Environment variables for a process of the project."""
    return {**os.environ, 'PYTHONPATH': str(REPO_ROOT), 'OMP_NUM_THREADS': '1',
            'PYTHONWARNINGS': 'ignore', 'PYTHON': sys.executable, **more}


def start(folder: Path, command: list[str], **more: str) -> subprocess.Popen:
    """Start a command in the project, its output in ``output.txt``."""
    with (folder / 'output.txt').open('a') as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment(**more), stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True)


def run(folder: Path, command: list[str], **more: str) -> str:
    """Run a command in the project and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def tool(name: str, *arguments: str) -> list[str]:
    """Command line of one of our tools."""
    path = str(REPO_ROOT / 'tools' / name)
    return ['bash' if name.endswith('.sh') else sys.executable, path, *arguments]


def checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint, loaded with torch's protection on."""
    return torch.load(path, map_location='cpu')
