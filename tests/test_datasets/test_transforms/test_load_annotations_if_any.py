# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One pipeline for images with and without ground truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose


def test_labels_are_loaded_where_there_are_any(tmp_path: Path) -> None:
    # Multi-scale, the loader inside, where the toolbox's inferencer cannot reach it.
    pipeline = Compose([dict(type='TestTimeAug', transforms=[
        [dict(type='ResizeToCanvas', scale=scale) for scale in (0.5, 1.0)],
        [dict(type='LoadAnnotationsIfAny')],
        [dict(type='PackSegInputs', meta_keys=('padding_size', ))],
    ])])
    labels = np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8)
    path = tmp_path / 'labels.png'
    cv2.imwrite(str(path), labels)
    data = dict(img=np.zeros((20, 30, 3), np.uint8), reduce_zero_label=False, seg_fields=[])
    for sample in pipeline(dict(data, seg_map_path=str(path)))['data_samples']:
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), labels)
    for without in (data, dict(data, seg_map_path=None)):
        for sample in pipeline(dict(without))['data_samples']:
            assert 'gt_sem_seg' not in sample
    path.unlink()
    with pytest.raises(FileNotFoundError, match='labels.png'):
        pipeline(dict(data, seg_map_path=str(path)))
