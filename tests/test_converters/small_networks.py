# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Networks of the released layout with a narrow fc6 and fc7, and the config that runs them."""

import numpy as np
from mmengine.config import Config
from test_converters.released_layout import LEVELS, RGB_MEAN, VGG, random_params

FC_CHANNELS = 16


def config(*, num_classes: int, window: int | None, fc_channels: int = FC_CHANNELS,
           **head: object) -> Config:
    """The config of a released network."""
    mask = None if window is None else dict(type='BoundaryMask', window=window)
    head = dict(type='LRRHead', num_classes=num_classes, boundary_mask=mask, **head)
    data = dict(type='SegDataPreProcessor', mean=RGB_MEAN.ravel().tolist(), std=[1.0, 1.0, 1.0])
    size = dict(size_divisor=32)
    model = dict(
        type='EncoderDecoder', data_preprocessor=dict(data, bgr_to_rgb=True, **size, test_cfg=size),
        backbone=dict(type='VGG16FC', fc_channels=fc_channels),
        decode_head=dict(head, in_channels=[256, 512, 512, fc_channels]),
        train_cfg=dict(), test_cfg=dict(mode='whole'))
    return Config(dict(default_scope='mmseg', model=model))


def hollow_params(**options: object) -> dict[str, np.ndarray]:
    """Parameters whose VGG-16 is zeros, for tests that do not look at it."""
    return random_params(0, fc_channels=FC_CHANNELS, hollow_vgg=True, **options)


def expected_state_dict(params: dict[str, np.ndarray], num_classes: int, num_bases: int = 10
                        ) -> dict[str, np.ndarray]:
    """The state dict that parameters become, worked out name by name."""
    places = (0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16)
    convolutions = {name: f'features.{i}' for (name, *_), i in zip(VGG, places, strict=True)}
    convolutions |= dict(fc6='fc6', fc7='fc7')
    convolutions = {name: f'backbone.{place}.conv' for name, place in convolutions.items()}
    state = {'decode_head.bases_loaded': np.array(True)}
    for level in LEVELS:
        convolutions[f'bases_coef_{level}'] = f'decode_head.levels.{level}.coefficients'
        for short, branch in (('dil', 'dilation'), ('ero', 'erosion')):
            convolutions[f'{short}_seg{level}_coef'] = f'decode_head.{branch}.coefficients.{level}'
            for bias in (f'{short}_seg_deconv_{level}b', f'{short}_seg_deconv_{level}_addb'):
                if bias in params:
                    state[f'decode_head.{branch}.bias.{level}'] = params[bias][0]
        if f'deconv_{level}f' in params:
            # Class c owns channels c * K to c * K + K - 1.
            filters = np.moveaxis(params[f'deconv_{level}f'][:, :, 0], 2, 0)
            bases = [filters[c * num_bases :][:num_bases] for c in range(num_classes)]
            state[f'decode_head.levels.{level}.reconstruction.bases'] = np.array(bases)
    for name, key in convolutions.items():
        if name + 'f' in params:
            # (height, width, in, out) to (out, in, height, width).
            state[key + '.weight'] = np.moveaxis(params[name + 'f'], (3, 2), (0, 1))
            state[key + '.bias'] = params[name + 'b'][0]
    return state
