# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A config, a checkpoint and a test set, all small, as a user has them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from ..small_segmentors import (
    CLASSES,
    PALETTE,
    build,
    dataset_config,
    lrr_config,
    make_images,
    single_pipeline,
    tta_pipeline,
)


def config(folder: Path, model: dict | None = None) -> Config:
    """A config whose test set lies in the folder."""
    loader = dict(
        batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset_config(folder / 'data'))
    return Config(dict(
        custom_imports=dict(imports=['mmseg_lrr'], allow_failed_imports=False),
        default_scope='mmseg',
        model=model or lrr_config(test_cfg=dict(level_outputs=True)),
        test_pipeline=single_pipeline(file=True),
        tta_model=dict(type='LRRTTAModel', fusion='max'),
        tta_pipeline=tta_pipeline(file=True),
        test_dataloader=loader,
        test_evaluator=dict(type='LRRIoUMetric', iou_metrics=['mIoU']),
        test_cfg=dict(type='LRRTestLoop'),
        default_hooks=dict(visualization=dict(type='SegVisualizationHook', interval=1)),
        visualizer=dict(type='SegLocalVisualizer', name='small_project',
                        vis_backends=[dict(type='LocalVisBackend')]),
        log_level='WARNING',
        work_dir=str(folder / 'work')))


def make_project(folder: Path, num_images: int = 3) -> Path:
    """Write ``config.py``, ``weights.pth`` and ``data/``; give the folder."""
    make_images(folder / 'data', num_images)
    cfg = config(folder)
    cfg.dump(folder / 'config.py')
    save_weights(cfg, folder / 'weights.pth')
    return folder


def save_weights(cfg: Config, path: Path, seed: int = 0) -> None:
    """Write random weights of a config's model as a checkpoint of the toolbox."""
    model = build(cfg.model, seed)
    meta = dict(dataset_meta=dict(classes=CLASSES, palette=PALETTE))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)


def miou(found: np.ndarray, true: np.ndarray, num_classes: int = 3) -> float:
    """Mean IoU in percent from a confusion matrix, classes absent from both left out."""
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (true[true != 255], found[true != 255]), 1)
    hits, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return float(100 * (hits[union > 0] / union[union > 0]).mean())


def concatenated(folder: Path, names: Iterable[str]) -> np.ndarray:
    """The pixels of label maps in a folder, one after the other."""
    return np.concatenate([
        np.asarray(Image.open(folder / f'{name}.png')).ravel() for name in names])
