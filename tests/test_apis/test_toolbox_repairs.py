# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The toolbox's scripts are mended for the time that they run."""

import cv2
import mmengine.analysis
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from torch import nn

from mmseg_lrr.apis.toolbox_repairs import repaired


def test_complexity_takes_the_input_where_both_are_given() -> None:
    model, image = nn.Conv2d(3, 4, 1, bias=False), torch.zeros(1, 3, 5, 7)
    ours = mmengine.analysis.get_model_complexity_info
    with repaired():
        both = mmengine.analysis.get_model_complexity_info(
            model, (3, 50, 70), inputs=image, show_table=False, show_arch=False)
        shape = mmengine.analysis.get_model_complexity_info(
            model, (3, 5, 7), show_table=False, show_arch=False)
    # One multiplication with addition an input channel, output channel and pixel.
    assert both['flops'] == shape['flops'] == 3 * 4 * 5 * 7
    assert mmengine.analysis.get_model_complexity_info is ours


def test_visualiser_draws_on_a_view(tmp_path) -> None:  # noqa: ANN001
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[:, 10:30, 10:30] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
    visualiser = SegLocalVisualizer(alpha=1.0)
    visualiser.dataset_meta = dict(classes=['a', 'b'], palette=[[0, 0, 0], [255, 0, 0]])
    view = np.zeros((3, 40, 40), np.uint8).transpose(1, 2, 0)
    drawing = SegLocalVisualizer.add_datasample
    with repaired():
        visualiser.add_datasample('x', view, sample, draw_pred=False, with_labels=True,
                                  out_file=str(tmp_path / 'x.png'))
    drawn = cv2.imread(str(tmp_path / 'x.png'))
    # BGR: the class's red, away from its name.
    assert drawn[28, 28].tolist() == [0, 0, 255] and drawn[35, 35].tolist() == [0, 0, 0]
    assert SegLocalVisualizer.add_datasample is drawing


def test_toolbox_is_put_back_after_a_failure() -> None:
    before = mmengine.analysis.get_model_complexity_info, SegLocalVisualizer.add_datasample
    with pytest.raises(SystemExit), repaired():
        raise SystemExit(1)
    assert before == (
        mmengine.analysis.get_model_complexity_info, SegLocalVisualizer.add_datasample)
