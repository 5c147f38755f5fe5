# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The photograph survives all transforms and the data preprocessor."""

import numpy as np
import pytest
from mmengine.dataset import Compose, pseudo_collate
from mmseg.registry import MODELS

from mmseg_lrr.datasets.transforms import KeepOriginalImage


def test_photograph_reaches_the_result_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    packed = Compose([
        dict(type='LoadImageFromNDArray'),
        dict(type='KeepOriginalImage'),
        dict(type='RandomFlip', prob=1.0, direction='horizontal'),
        dict(type='ResizeToCanvas', scale=0.6),
        dict(type='PackSegInputs', meta_keys=('ori_img', 'padding_size')),
    ])(dict(img=image.copy()))
    preprocessor = MODELS.build(dict(
        type='SegDataPreProcessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True,
        test_cfg=dict(size_divisor=64)))
    kept = preprocessor(pseudo_collate([packed]))['data_samples'][0].ori_img
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(kept, image)


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_it_is_a_copy_with_three_channels(shape: tuple) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    results = KeepOriginalImage()(dict(img=image))
    expected = np.broadcast_to(image.reshape(4, 5, -1)[..., :3], (4, 5, 3)).copy()
    results['img'] += 1
    np.testing.assert_array_equal(results['ori_img'], expected)
