# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing on real images of VOC, with random weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_lrr import get_config
from mmseg_lrr.apis.testing import configure_test, run_test

from ..small_segmentors import build, lrr_config

CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16', iterations=1)


def miou(found: np.ndarray, true: np.ndarray, num_classes: int) -> float:
    """Mean IoU in percent, classes absent from both left out."""
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (true[true != 255], found[true != 255]), 1)
    hits, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return float(100 * (hits[union > 0] / union[union > 0]).mean())


@pytest.mark.parametrize('tta', [False, True])
def test_voc(shared_data: Callable[[str], Path], tmp_path: Path, tta: bool) -> None:
    root = shared_data('voc')
    cfg = get_config('lrr4x_r101_voc')
    cfg.merge_from_dict(dict(work_dir=str(tmp_path / 'work'), log_level='WARNING'))
    cfg.model = {**lrr_config(21, test_cfg=dict(level_outputs=True)),
                 'data_preprocessor': {**cfg.model.data_preprocessor, 'size': None}}
    torch.save(dict(state_dict=build(cfg.model).state_dict()), tmp_path / 'weights.pth')
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.update(
        data_root=str(root), indices=2, ann_file='ImageSets/Segmentation/mini_val.txt')
    cfg.test_evaluator = dict(type='LRRIoUMetric', trimap=dict(widths=[1, 5]),
                              output_dir=str(tmp_path / 'out'))
    metrics = run_test(
        configure_test(cfg, tta=tta, crf=CRF), str(tmp_path / 'weights.pth')).metrics

    ids = (root / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[:2]
    predicted, true = (
        np.concatenate([np.asarray(Image.open(folder / f'{name}.png')).ravel() for name in ids])
        for folder in (tmp_path / 'out', root / 'SegmentationClassAug'))
    assert len(np.unique(predicted)) > 1
    assert metrics['mIoU'] == pytest.approx(miou(predicted, true, 21), abs=.00501)
    levels = {f'mIoU_{level}' for level in ('32x', '16x', '8x', '4x')}
    assert levels & set(metrics) == (set() if tta else levels)
    assert {'trimap_mIoU@1', 'trimap_mIoU@5'} <= set(metrics)
