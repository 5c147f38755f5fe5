# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One pipeline for images with and without ground truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose


@pytest.fixture
def data(tmp_path: Path) -> dict:
    """What a data set gives for one image."""
    labels = np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / 'labels.png'), labels)
    return dict(
        img=np.zeros((20, 30, 3), np.uint8), seg_map_path=str(tmp_path / 'labels.png'),
        reduce_zero_label=False, seg_fields=[], labels=labels)


@pytest.fixture
def pipeline() -> Compose:
    """Multi-scale, the loader inside, where the toolbox's inferencer cannot reach it."""
    return Compose([dict(type='TestTimeAug', transforms=[
        [dict(type='ResizeToCanvas', scale=scale) for scale in (0.5, 1.0)],
        [dict(type='LoadAnnotationsIfAny')],
        [dict(type='PackSegInputs', meta_keys=('padding_size', ))],
    ])])


def test_labels_are_loaded_at_their_own_size(pipeline: Compose, data: dict) -> None:
    for sample in pipeline(data)['data_samples']:
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), data['labels'])


@pytest.mark.parametrize('path', ['gone', None])
def test_without_a_path_nothing_is_loaded(pipeline: Compose, data: dict, path: str | None) -> None:
    if path is None:
        data['seg_map_path'] = None
    else:
        del data['seg_map_path']
    for sample in pipeline(data)['data_samples']:
        assert 'gt_sem_seg' not in sample


def test_missing_file_is_an_error(pipeline: Compose, data: dict, tmp_path: Path) -> None:
    (tmp_path / 'labels.png').unlink()
    with pytest.raises(FileNotFoundError, match='labels.png'):
        pipeline(data)
