# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Configs against converted networks; those of the released networks are what the files need."""

import pytest
from mmseg.utils import get_classes
from test_converters.released_layout import LEVELS, RGB_MEAN
from test_converters.small_networks import config

from mmseg_lrr import get_config
from mmseg_lrr.converters.config_check import config_differences

MEAN = RGB_MEAN.ravel().tolist()


def meta(**options: object) -> dict:
    network = dict(num_classes=19, num_bases=10, levels=list(LEVELS), mask_window=17, mean=MEAN)
    return dict(lrr=network | dict(classes=get_classes('cityscapes')) | options)


def test_differences_of_the_network():
    options = config(num_classes=19, window=17)
    options.model.data_preprocessor.mean = [round(value, 2) for value in MEAN]
    options.test_dataloader = dict(dataset=dict(type='CityscapesDataset'))
    assert config_differences(options, meta()) == []
    for change, message in (
            (dict(mean=[1, 2, 3]), "the network's [1, 2, 3]"),
            (dict(num_classes=21), "num_classes is 19, the network's 21"),
            (dict(num_bases=3), "num_bases is 10, the network's 3"),
            (dict(levels=['32x']), "levels is ['32x', '16x', '8x', '4x'], the network's ['32x']"),
            (dict(mask_window=9), "mask window is 17, the network's 9"),
            (dict(classes=['wall'] * 19), "classes is ['road', ")):
        (found,) = config_differences(options, meta(**change))
        assert message in found


def test_differences_of_the_config():
    options = config(num_classes=19, window=None, upsample_border='replicate')
    options.model.data_preprocessor = dict(type='SegDataPreProcessor', std=[1, 58.4, 1])
    found = config_differences(options, meta())
    words = 'mean) is None', 'std', 'BGR', 'missing', 'replicate'
    for line, word in zip(found, words, strict=True):
        assert word in line
    # The ImageNet network says nothing of the head.
    assert len(config_differences(options, dict(vgg=dict(mean=MEAN, std=[1, 1, 1])))) == 3


@pytest.mark.parametrize(('name', 'dataset', 'num_classes', 'window'), [
    ('lrr4x_vgg16_coco-voc_released', 'voc', 21, 9),
    ('lrr4x_vgg16_cityscapes_released', 'cityscapes', 19, 17)])
def test_released_configs(name, dataset, num_classes, window):
    """They run the converted networks, and test them as the authors do."""
    options = get_config(name)
    # VOC's mean is not published, so the config has another one.
    network = meta(num_classes=num_classes, mask_window=window, classes=get_classes(dataset),
                   mean=MEAN if dataset == 'cityscapes' else None)
    assert config_differences(options, network) == []
    model = options.model
    assert model.type == 'LRREncoderDecoder' and model.test_cfg.level_outputs
    assert options.tta_model == dict(type='LRRTTAModel', fusion='max')
    scales = [step.scale for step in options.tta_pipeline[-1].transforms[1]]
    if dataset == 'voc':
        assert model.test_cfg.mode == 'whole' and scales == [0.6, 0.8, 1.0]
        assert 'seg11valid' in options.test_dataloader.dataset.ann_file
    else:
        # Halves share widths that are multiples of 512.
        assert model.test_cfg.mode == 'halves'
        assert all(2048 * scale % 512 == 0 for scale in scales)
