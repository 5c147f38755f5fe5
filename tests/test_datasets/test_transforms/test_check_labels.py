# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset

from mmseg_lrr.datasets.transforms import CheckLabels


def results(labels: np.ndarray, height: int = 4, width: int = 6) -> dict:
    return dict(gt_seg_map=labels, seg_map_path='a/b.png', img_path='a/b.jpg',
                img=np.zeros((height, width, 3), np.uint8))


def test_classes_and_ignored_pixels_pass_unchanged() -> None:
    labels = np.resize([0, 1, 2, 255], (4, 6)).astype(np.uint8)
    checked = CheckLabels(num_classes=3)(results(labels.copy()))
    np.testing.assert_array_equal(checked['gt_seg_map'], labels)
    CheckLabels(num_classes=3, ignore_index=7)(results(np.where(labels == 255, 7, labels)))
    # Without an image, e.g. where label maps alone are read.
    CheckLabels(num_classes=3)(dict(gt_seg_map=labels))


@pytest.mark.parametrize('labels, message', [
    (np.full((4, 6), 3, np.uint8), r'a/b\.png holds \[3\], which are not classes; expected 0 to 2'),
    (np.resize([0, 254, -1], (4, 6)), r'a/b\.png holds \[-1, 254\]'),
    (np.zeros((6, 4), np.uint8), r'a/b\.png is of shape \(6, 4\).*\(4, 6\) \(a/b\.jpg\)'),
    (np.zeros((4, 6, 3), np.uint8), r'a/b\.png is of shape \(4, 6, 3\); expected one channel'),
])
def test_what_is_wrong_is_named(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckLabels(num_classes=3)(results(labels))


def test_it_checks_what_the_data_set_has_mapped(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((4, 6, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 6), 3, np.uint8))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                dict(type='CheckLabels', num_classes=3)]
    options = dict(data_root=str(tmp_path), metainfo=dict(classes=tuple('abc')), pipeline=pipeline)
    assert (BaseSegDataset(**options, reduce_zero_label=True)[0]['gt_seg_map'] == 2).all()
    with pytest.raises(ValueError, match=r'a\.png holds \[3\]'):
        BaseSegDataset(**options)[0]
