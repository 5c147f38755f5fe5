# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The photograph survives all transforms and the data preprocessor."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

PIPELINE = [
    dict(type='KeepOriginalImage'),
    dict(type='RandomFlip', prob=1.0, direction='horizontal'),
    dict(type='ResizeToCanvas', scale=0.6),
    dict(type='PackSegInputs', meta_keys=('ori_img', 'padding_size')),
]


@pytest.mark.parametrize('from_file', [True, False])
def test_photograph_reaches_the_result_unchanged(tmp_path: Path, from_file: bool) -> None:
    init_default_scope('mmseg')
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    if from_file:
        loader, data = 'LoadImageFromFile', dict(img_path=str(tmp_path / 'image.png'))
    else:
        loader, data = 'LoadImageFromNDArray', dict(img=image.copy())
    packed = Compose([dict(type=loader), *PIPELINE])(data)
    preprocessor = MODELS.build(dict(
        type='SegDataPreProcessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True,
        test_cfg=dict(size_divisor=64)))
    batch = preprocessor(pseudo_collate([packed]))
    kept = batch['data_samples'][0].ori_img
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(kept, image)


def test_later_changes_in_place_do_not_reach_it() -> None:
    init_default_scope('mmseg')
    results = Compose([PIPELINE[0]])(dict(img=np.zeros((4, 5, 3), np.uint8)))
    results['img'] += 1
    assert (results['ori_img'] == 0).all()


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1)])
def test_grey_photograph_gets_three_channels(shape: tuple) -> None:
    init_default_scope('mmseg')
    grey = np.arange(20, dtype=np.uint8).reshape(shape)
    results = Compose([PIPELINE[0]])(dict(img=grey))
    np.testing.assert_array_equal(
        results['ori_img'], np.broadcast_to(grey.reshape(4, 5, 1), (4, 5, 3)))
