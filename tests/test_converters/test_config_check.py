# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import pytest
import torch
from mmseg.utils import get_classes
from test_converters.released_layout import RGB_MEAN
from test_converters.small_networks import config

from mmseg_lrr.converters.config_check import bare_model, config_differences

MEAN = RGB_MEAN.ravel().tolist()


@pytest.fixture
def state_dict() -> dict[str, torch.Tensor]:
    return dict(bare_model(config(num_classes=19, window=17)).state_dict())


def differences(state_dict, options, mean=MEAN, window=17, classes=None) -> list[str]:
    details = dict(
        num_classes=19,
        num_bases=10,
        levels=['32x', '16x', '8x', '4x'],
        mask_window=window,
        mean=mean,
        classes=classes or get_classes('cityscapes'),
    )
    return config_differences(options, state_dict, dict(lrr=details))


@pytest.fixture
def options():
    return config(num_classes=19, window=17)


def test_building_takes_no_memory(state_dict):
    assert all(value.is_meta for value in state_dict.values())


def test_the_same(state_dict, options):
    options.model.data_preprocessor.mean = [round(value, 2) for value in MEAN]
    options.test_dataloader = dict(dataset=dict(type='CityscapesDataset'))
    assert differences(state_dict, options) == []
    assert differences(state_dict, options, mean=None, window=None) == []


def test_colours(state_dict, options):
    options.model.data_preprocessor.update(mean=[1, 2, 3], std=[1, 58.4, 1], bgr_to_rgb=False)
    mean, std, order = differences(state_dict, options)
    assert 'mean colour is [1, 2, 3]' in mean and "the network's [73.165" in mean
    assert 'std [1, 58.4, 1]' in std and 'BGR' in order
    options.model.data_preprocessor = dict(type='SegDataPreProcessor')
    assert len(differences(state_dict, options)) == 2


def test_head(state_dict):
    other = config(num_classes=19, window=9, upsample_border='replicate')
    window, border = differences(state_dict, other)
    assert "mask window is 9, the network's 17" in window and "'replicate'" in border
    (window,) = differences(state_dict, config(num_classes=19, window=None))
    assert 'mask window is missing' in window


def test_weights(state_dict):
    found = differences(state_dict, config(num_classes=21, window=17, dilation_erosion=None))
    assert found[0] == "the config's num_classes is 21, the network's 19"
    assert "the config's model has no decode_head.erosion.bias.32x" in found
    assert any('coefficients.32x.weight' in line and '(210, 16, 5, 5)' in line for line in found)
    del state_dict['backbone.fc6.conv.bias']
    found = differences(state_dict, config(num_classes=19, window=17))
    assert found == ["backbone.fc6.conv.bias of the config's model is not in the network"]


def test_classes(state_dict, options):
    options.test_dataloader = dict(dataset=dict(type='CityscapesDataset'))
    names = list(get_classes('cityscapes'))
    names[3] = 'fence'
    (line,) = differences(state_dict, options, classes=names)
    assert "3: 'wall' and 'fence'" in line
    options.test_dataloader.dataset.metainfo = dict(classes=names[:18])
    (line,) = differences(state_dict, options, classes=names)
    assert '18 and 19 classes' in line


def test_backbone_alone(state_dict, options):
    """The ImageNet network says nothing of the head."""
    backbone = {k: v for k, v in state_dict.items() if k.startswith('backbone.')}
    meta = dict(vgg=dict(mean=MEAN, std=[1.0] * 3))
    assert config_differences(options, backbone, meta) == []
    del backbone['backbone.fc7.conv.bias']
    (line,) = config_differences(options, backbone, meta)
    assert 'backbone.fc7.conv.bias' in line
