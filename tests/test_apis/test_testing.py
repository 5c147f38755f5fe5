# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing from Python, of a small project and on images of VOC with random weights."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_lrr import get_config
from mmseg_lrr.apis.testing import configure_test, run_test

from ..small_segmentors import build, lrr_config, predict, single_pipeline, tta_pipeline
from .small_project import concatenated, miou

CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16', iterations=1)


@pytest.fixture
def cfg(project: Path) -> Config:
    return Config.fromfile(project / 'config.py')


@pytest.mark.parametrize('tta, crf', [(False, None), (True, CRF)])
def test_every_way_of_testing(project: Path, cfg: Config, tta: bool, crf: dict | None) -> None:
    before = cfg.pretty_text
    tested = configure_test(cfg, tta=tta, crf=crf)
    metrics = run_test(tested, str(project / 'weights.pth')).metrics
    assert cfg.pretty_text == before
    model = build(tested.model)
    pipeline = tta_pipeline() if tta else single_pipeline()
    found = []
    for index in range(3):
        image = cv2.imread(str(project / 'data' / 'images' / f'{index}.png'))
        found.append(predict(model, pipeline, image).pred_sem_seg.data.numpy().ravel())
    truth = concatenated(project / 'data' / 'labels', range(3))
    assert metrics['mIoU'] == pytest.approx(miou(np.concatenate(found), truth), abs=.00501)


@pytest.mark.parametrize('tta', [False, True])
def test_images_of_voc(shared_data: Callable[[str], Path], tmp_path: Path, tta: bool) -> None:
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

    names = (root / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[:2]
    predicted, true = (concatenated(folder, names)
                       for folder in (tmp_path / 'out', root / 'SegmentationClassAug'))
    assert len(np.unique(predicted)) > 1
    assert metrics['mIoU'] == pytest.approx(miou(predicted, true, 21), abs=.00501)
    levels = {f'mIoU_{level}' for level in ('32x', '16x', '8x', '4x')}
    assert levels & set(metrics) == (set() if tta else levels)
    assert {'trimap_mIoU@1', 'trimap_mIoU@5'} <= set(metrics)


def test_no_crf_means_none(cfg: Config) -> None:
    """Whatever the config says; the report's rows must be what their names say."""
    cfg.model.test_cfg.crf = cfg.tta_model.crf = dict(type='DenseCRF')
    assert 'crf' not in configure_test(cfg).model.test_cfg
    tested = configure_test(cfg, tta=True).model
    assert 'crf' not in tested and 'crf' not in tested.module.test_cfg
    tested = configure_test(cfg, tta=True, crf=CRF).model
    assert tested.crf == CRF and 'crf' not in tested.module.test_cfg
    assert configure_test(cfg, crf=CRF).model.test_cfg == dict(
        mode='whole', level_outputs=True, crf=CRF)
