# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The configs of the released networks are what the files need."""

import pytest
import torch
from mmengine.config import Config
from mmseg.utils import get_classes
from test_converters.released_layout import RGB_MEAN

from mmseg_lrr import get_config
from mmseg_lrr.converters.config_check import bare_model, config_differences
from mmseg_lrr.converters.matconvnet import LrrLayout

RELEASED = {
    'lrr4x_vgg16_coco-voc_released': ('voc', 21, 9),
    'lrr4x_vgg16_cityscapes_released': ('cityscapes', 19, 17),
}


@pytest.fixture(params=RELEASED)
def released(request) -> tuple[Config, str, int, int]:
    return get_config(request.param), *RELEASED[request.param]


def test_they_run_the_converted_network(released):
    options, dataset, num_classes, window = released
    layout = LrrLayout(num_classes=num_classes)
    state = {
        p.key: torch.empty(p.torch_shape, device='meta') for p in layout.parameters() if p.stored
    }
    state['decode_head.bases_loaded'] = torch.empty((), device='meta')
    mean = RGB_MEAN.ravel().tolist()
    details = dict(
        num_classes=num_classes,
        num_bases=10,
        levels=list(layout.levels),
        mask_window=window,
        # VOC's is not published, so the config has another one.
        mean=mean if dataset == 'cityscapes' else None,
        classes=get_classes(dataset),
    )
    assert config_differences(options, state, dict(lrr=details)) == []


def test_images_lie_on_zeros(released):
    """The canvas around an image is of the mean colour, in BGR."""
    options, *_ = released
    single = options.test_dataloader.dataset.pipeline
    multi = options.tta_pipeline[-1].transforms[1]
    canvases = [step for step in [*single, *multi] if step.type == 'ResizeToCanvas']
    assert len(canvases) == 4
    for canvas in canvases:
        assert canvas.pad_value == options.model.data_preprocessor.mean[::-1]


def test_they_are_tested_as_the_authors_do(released):
    options, dataset, *_ = released
    model = bare_model(options)
    assert type(model).__name__ == 'LRREncoderDecoder' and model.level_outputs
    scales = [step.scale for step in options.tta_pipeline[-1].transforms[1]]
    assert options.tta_model == dict(type='LRRTTAModel', fusion='max')
    if dataset == 'voc':
        assert model.mode == 'whole' and scales == [0.6, 0.8, 1.0]
        assert 'seg11valid' in options.test_dataloader.dataset.ann_file
    else:
        # Halves share widths that are multiples of 512.
        assert model.mode == 'halves' and all(2048 * scale % 512 == 0 for scale in scales)
