# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Wrong values of every registered component's options, refused by name when it is built.

A row is a component, options that make it, and what the message must say: the option and the
value. ``BARE`` says which components have none.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import mmseg.registry
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_lrr.datasets.class_bases import load_class_bases

from ..small_segmentors import lrr_config, stock_config

NAN, INF = math.nan, math.inf

#: Components without options.
BARE = {'ProgressBarHook', 'ResetMomentumHook', 'DataListHook', 'KeepOriginalImage'}
#: Components whose options are those of a class of the toolbox, by name.
INHERITED = {'LRRCheckpointHook': CheckpointHook}


class Row(NamedTuple):
    """One mistake: the component, its options, the option named and the value shown."""

    component: str
    options: dict[str, Any]
    option: str
    value: str


def rows(component: str, option: str, *values: Any, base: dict | None = None,
         named: str | None = None) -> list[Row]:
    """A row for each wrong value of one option, which the message calls ``named``."""
    return [Row(component, {**(base or {}), option: value}, named or option, repr(value))
            for value in values]


def registered() -> dict[str, tuple[Registry, type]]:
    """Every class that this package registers, found through the toolbox's registries."""
    found = {}
    for registry in vars(mmseg.registry).values():
        if isinstance(registry, Registry):
            for name, kind in registry.module_dict.items():
                if kind.__module__.startswith('mmseg_lrr'):
                    found[name] = registry, kind
    return found


# ------------------------------------------------------------------------------- the table

LRR = dict(in_channels=[3, 4, 5, 6], num_classes=3)
FCN = dict(in_channels=[3, 4, 5], num_classes=3)
BRANCH = dict(in_channels={'32x': 3}, num_classes=3, num_bases=2, kernel_size=5)
OUT = dict(output_dir='nowhere/yet')
VGG = dict(fc_channels=4)


def head_rows(name: str, base: dict) -> list[Row]:
    """What both heads refuse."""
    number = len(base['in_channels'])
    return [
        *rows(name, 'num_classes', 0, 1, -3, '3', 2.5, True, None, base=base),
        *rows(name, 'in_channels', None, [], '34', {'a': 1}, base=base),
        *rows(name, 'in_channels', 0, -1, True, base={**base, 'strides': [32]},
              named='in_channels[0]'),
        Row(name, {**base, 'in_channels': [3, 4.5, 6]}, 'in_channels[1]', '4.5'),
        *rows(name, 'in_index', 5, 2.5, [], '012', [0, 1], [0] * number, base=base),
        Row(name, {**base, 'in_index': [0, '1', 2]}, 'in_index[1]', "'1'"),
        *rows(name, 'strides', 8, '8', [], [16, 32], [4, 8, 16, 16], [32, 16, 8, 4],
              [8, 16, 32, 64, 128], base=base),
        Row(name, {**base, 'strides': [8., 16., 32.]}, 'strides[0]', '8.0'),
        Row(name, {**base, 'strides': [1, 2, 4]}, 'strides[0]', '1'),
        Row(name, {**base, 'in_channels': [3] * 5}, 'strides', '[3, 3, 3, 3, 3]'),
        *rows(name, 'align_corners', True, None, 0, base=base),
        *rows(name, 'ignore_index', '255', None, 2.5, base=base),
        *rows(name, 'loss_decode', None, [], 'ce', 3, {}, base=base),
        Row(name, {**base, 'loss_decode': [dict(type='LevelCrossEntropyLoss'), 3]},
            'loss_decode[1]', '3'),
        Row(name, {**base, 'loss_decode': dict(type='DenseCRF')}, 'loss_decode', 'DenseCRF'),
        Row(name, {**base, 'loss_decode': dict(type='NoSuchLoss')}, 'NoSuchLoss', 'registry'),
        Row(name, {**base, 'loss_decode': dict(type='SiLogLoss')}, 'loss_decode', 'SiLogLoss'),
        Row(name, {**base, 'loss_decode': dict(type='BoundaryLoss')}, 'loss_decode',
            'BoundaryLoss'),
        Row(name, {**base, 'loss_decode': dict(type='CrossEntropyLoss', loss_name='ce')},
            'loss_name', "'ce'"),
        Row(name, {**base, 'loss_decode': dict(type='CrossEntropyLoss', reduction='none')},
            'reduction', "'none'"),
        Row(name, {**base, 'loss_decode': dict(type='CrossEntropyLoss', use_mask=True)},
            'use_mask', 'True'),
        *[Row(name, {**base, 'loss_decode': dict(type='CrossEntropyLoss',
                                                 class_weight=[1, 1, weight])},
              'class_weight of CrossEntropyLoss[2]', repr(weight))
          for weight in (NAN, 'a', -1, 1e39)],
        Row(name, {**base, 'loss_decode': dict(type='LevelCrossEntropyLoss',
                                               class_weight=[1., 2.])},
            'class_weight', '(1.0, 2.0)'),
        *[Row(name, {**base, 'loss_decode': losses}, 'class_weight of CrossEntropyLoss',
              f"a .npy or .json file, got 'w{suffix}'")
          for suffix in ('.pkl', '.yaml', '')
          for losses in (dict(type='CrossEntropyLoss', class_weight=f'w{suffix}'),
                         [dict(type='CrossEntropyLoss', class_weight=[1.] * 3),
                          dict(type='CrossEntropyLoss', class_weight=f'w{suffix}')])],
        *rows(name, 'init_cfg', 3, 'x', [], base=base),
        *rows(name, 'sampler', 3, base=base),
        Row(name, {**base, 'no_such_option': 1}, 'no_such_option', 'unexpected'),
    ]


def segmentor(part: str, **options: Any) -> dict:
    """A segmentor's options with some of one part replaced."""
    config = lrr_config()
    config[part] = {**config[part], **options}
    config.pop('type')
    return config


def fcn_segmentor(**options: Any) -> dict:
    """Options of a segmentor with FCN-8s, with some of the head's replaced."""
    head = dict(type='FCNSkipHead', in_channels=[16, 32, 64], in_index=[1, 2, 3], num_classes=3)
    return {**segmentor('backbone'), 'decode_head': {**head, **options}}


def rows_of_test_cfg(option: str, *values: Any, **others: Any) -> list[Row]:
    return [Row('LRREncoderDecoder', segmentor('test_cfg', **others, **{option: value}),
                f'test_cfg.{option}', repr(value)) for value in values]


TABLE = [
    # ---------------------------------------------------------------- backbone, preprocessor
    *rows('VGG16FC', 'out_indices', [], 3, '03', None, base=VGG),
    *[Row('VGG16FC', {**VGG, 'out_indices': value}, 'out_indices', repr(tuple(value)))
      for value in ([4], [-1], [3, 0], [1, 1])],
    *rows('VGG16FC', 'frozen_stages', 6, -2, 1.0, '1', True, [1], None, base=VGG),
    *rows('VGG16FC', 'fc_channels', 0, -4, 2.5, '4096', True, None),
    *rows('VGG16FC', 'init_cfg', 3, 'x', [], base=VGG),
    *rows('LRRDataPreProcessor', 'raw_pad_value', -1, 256, '128', NAN, INF, [128]),
    *rows('LRRDataPreProcessor', 'scale_augmentation', 3, 'ScaleAugmentation', {}),
    Row('LRRDataPreProcessor', dict(scale_augmentation=dict(type='ResizeToCanvas')),
        'scale_augmentation', 'ResizeToCanvas'),
    Row('LRRDataPreProcessor', dict(scale_augmentation=dict(type='ScaleAugmentation')),
        'size_divisor', 'got neither'),
    Row('LRRDataPreProcessor', dict(mean=[1, 2, 1e39], std=[1, 1, 1]), 'mean[2]', '1e+39'),
    Row('LRRDataPreProcessor', dict(mean=[1, 2, 3], std=[1, 1e-46, 1]), 'std[1]', '1e-46'),
    *rows('LRRDataPreProcessor', 'mean', 'abc', [1, 2], 3, base=dict(std=[1, 1, 1])),
    Row('LRRDataPreProcessor', dict(mean=[1, 2, NAN], std=[1, 1, 1]), 'mean[2]', 'nan'),
    *rows('LRRDataPreProcessor', 'std', [1, 2], 'abc', base=dict(mean=[1, 2, 3])),
    Row('LRRDataPreProcessor', dict(mean=[1, 2, 3], std=[1, 0, 1]), 'std[1]', '0'),
    *rows('LRRDataPreProcessor', 'size', 3, [3], [], 'ab'),
    Row('LRRDataPreProcessor', dict(size=[0, 3]), 'size[0]', '0'),
    *rows('LRRDataPreProcessor', 'size_divisor', 0, -32, 1.5, '32'),
    Row('LRRDataPreProcessor', dict(size=[3, 3], size_divisor=32), 'size_divisor', '32'),
    *rows('LRRDataPreProcessor', 'test_cfg', 3, '32', {}, dict(size=(3, 3), size_divisor=3)),
    Row('LRRDataPreProcessor', dict(test_cfg=dict(size_divisr=32)), 'test_cfg', "'size_divisr'"),
    *[Row('LRRDataPreProcessor', dict(test_cfg={option: value}), f'test_cfg.{option}', repr(value))
      for option, value in (('size', 3), ('size', [3]), ('size_divisor', 0), ('size_divisor', '32'),
                            ('size_divisor', None))],
    *rows('LRRDataPreProcessor', 'mean', [1], None, base=dict(std=[1, 2, 3])),
    *rows('LRRDataPreProcessor', 'std', [1], None, base=dict(mean=[1, 2, 3])),
    *rows('LRRDataPreProcessor', 'batch_augments', 3, 'x', [dict(type='RandomFlip')]),
    *rows('LRRDataPreProcessor', 'pad_val', 'a', NAN, None),
    *rows('LRRDataPreProcessor', 'seg_pad_val', 'a', -1, 256, 1.5, None),
    *rows('LRRDataPreProcessor', 'bgr_to_rgb', 'yes', 1, None),
    *rows('LRRDataPreProcessor', 'rgb_to_bgr', 'yes', 1, None),
    *rows('LRRDataPreProcessor', 'rgb_to_bgr', True, base=dict(bgr_to_rgb=True)),
    # ---------------------------------------------------------------- layers
    *rows('BasisReconstruction', 'num_classes', 0, -1, '3', 2.5, True, None),
    *rows('BasisReconstruction', 'num_bases', 0, -1, '3', 2.5, True, None, 1025,
          base=dict(num_classes=3)),
    *rows('BasisReconstruction', 'factor', 0, 1, 3, -4, 2.0, '4', True, None, 258,
          base=dict(num_classes=3)),
    *rows('BasisReconstruction', 'learned', 'no', 1, None, base=dict(num_classes=3)),
    *rows('BoundaryMask', 'window', 8, 1, 0, -9, 9.0, '9', None, [9], True, 4099),
    *rows('DilationErosionBranch', 'in_channels', 3, {}, None, [3], base=BRANCH),
    Row('DilationErosionBranch', {**BRANCH, 'in_channels': {'32x': 0}}, "in_channels['32x']", '0'),
    Row('DilationErosionBranch', {**BRANCH, 'in_channels': {'32x': 'a'}}, "in_channels['32x']",
        "'a'"),
    *rows('DilationErosionBranch', 'num_classes', 0, 1, '3', 2.5, base=BRANCH),
    *rows('DilationErosionBranch', 'num_bases', 0, '3', 2.5, 1025, base=BRANCH),
    *rows('DilationErosionBranch', 'kernel_size', 0, 4, -3, '5', 5.0, 129, base=BRANCH),
    *rows('DilationErosionBranch', 'winograd', 'no', 1, None, base=BRANCH),
    # ---------------------------------------------------------------- heads
    *head_rows('FCNSkipHead', FCN),
    *rows('FCNSkipHead', 'pool_skips', 'no', 1, None, base=FCN),
    *head_rows('LRRHead', LRR),
    *rows('LRRHead', 'num_bases', 0, -1, 1025, '10', 2.5, None, True, base=LRR),
    *rows('LRRHead', 'reconstruction_factor', 0, 1, 3, -4, 4.0, '4', None, True, base=LRR),
    Row('LRRHead', {**LRR, 'reconstruction_factor': 6}, 'reconstruction_factor', '6'),
    *rows('LRRHead', 'reconstruction_factor', [4, 4], base=LRR),
    Row('LRRHead', {**LRR, 'reconstruction_factor': [4, 4, 4, 2]}, 'reconstruction_factor', '2'),
    Row('LRRHead', {**LRR, 'reconstruction_factor': [2, 8, 8, 8]}, 'reconstruction_factor', '8'),
    *rows('LRRHead', 'kernel_size', 0, 4, -3, '5', 5.0, None, 129, base=LRR),
    *rows('LRRHead', 'upsample_border', 'mirror', None, 0, ['zeros'], base=LRR),
    *rows('LRRHead', 'learned_bases', 'yes', 1, None, base=LRR),
    *rows('LRRHead', 'with_cp', 'x', 1, None, base=LRR),
    *rows('LRRHead', 'winograd', 'x', 1, None, base=LRR),
    *rows('LRRHead', 'boundary_mask', 3, 'BoundaryMask', {}, base=LRR),
    *[Row('LRRHead', {**LRR, 'boundary_mask': dict(type='BoundaryMask', window=window)},
          'window', shown) for window, shown in (
              (8, '8'), (0, '0'), (1, '1'), ('9', "'9'"), ([9, 8, 9, 9], '8'), ([9, 9], '[9, 9]'),
              ([9, 9, 9, 4], '4'), ([9, 9, 9, 'x'], "'x'"))],
    *rows('LRRHead', 'dilation_erosion', 3, 'x', {}, base=LRR),
    *[Row('LRRHead', {**LRR, 'dilation_erosion': dict(type='DilationErosionBranch', levels=levels)},
          'dilation_erosion levels', repr(levels))
      for levels in ([], '32x', 32, ['64x'], ['32x', '8x'], ['16x'], ['32x', '32x'])],
    *[Row('LRRHead', {**LRR, 'dilation_erosion': dict(
        type='DilationErosionBranch', **{option: value})}, f'dilation_erosion must leave {option}',
          repr(value)) for option, value in (
              ('in_channels', 4), ('num_classes', 3), ('num_bases', 10), ('kernel_size', 4),
              ('winograd', False))],
    Row('LRRHead', {**LRR, 'dilation_erosion': dict(
        type='DilationErosionBranch', levels=['32x', '16x'])}, 'radii', '[32]'),
    *rows('LRRHead', 'loss_dilation_erosion', 3, None, {}, base=LRR),
    *rows('LRRHead', 'loss_dilation_erosion', 3, None, base={**LRR, 'dilation_erosion': None}),
    Row('LRRHead', {**LRR, 'loss_dilation_erosion': dict(type='LevelCrossEntropyLoss')},
        'loss_dilation_erosion', 'LevelCrossEntropyLoss'),
    *rows('LRRHead', 'sampler', dict(type='OHEMPixelSampler'), base=LRR),
    *rows('LRRHead', 'out_channels', 1, 4, '3', base=LRR),
    Row('LRRHead', dict(in_channels=LRR['in_channels'], num_classes=2, out_channels=1),
        'out_channels', '1'),
    # ---------------------------------------------------------------- losses
    *rows('DilationErosionLoss', 'radii', [], 32, '32', b'\x20', None),
    *[Row('DilationErosionLoss', dict(radii=[radius]), 'radii', repr(radius))
      for radius in (0, -3, 1.5, '32', True, 10**9)],
    *rows('DilationErosionLoss', 'footprint', 'square', None, ['disk']),
    Row('DilationErosionLoss', dict(radii=[3], footprint='octagon'), 'radii', '3'),
    *rows('DilationErosionLoss', 'loss_weight', -1, '1', NAN, INF, None, [1, 2]),
    *rows('LevelCrossEntropyLoss', 'loss_weight', -1, '1', NAN, INF, None, [1], 1e39),
    *rows('LevelCrossEntropyLoss', 'class_weight', 3, [], '', 'nowhere.pkl', 'nowhere.yaml'),
    Row('LevelCrossEntropyLoss', dict(class_weight='nowhere.npy'), 'class_weight', 'nowhere.npy'),
    *[Row('LevelCrossEntropyLoss', dict(class_weight=[1, weight]), 'class_weight[1]', repr(weight))
      for weight in (-1, NAN, INF, 'a', None)],
    *rows('LevelCrossEntropyLoss', 'loss_name', 3, '', 'ce', None),
    # ---------------------------------------------------------------- CRF
    *rows('DenseCRF', 'preset', 'deeplab_v3', None, 3, ['kraehenbuehl']),
    *rows('DenseCRF', 'iterations', -1, 1.5, '10', True),
    *rows('DenseCRF', 'pos_weight', -1, '3', NAN, INF, [3], 1e300, 10**400),
    *rows('DenseCRF', 'pos_std', 0, -1, '3', NAN, INF),
    *rows('DenseCRF', 'bilateral_weight', -1, '3', NAN, INF, 1e7),
    *rows('DenseCRF', 'bilateral_std_xy', 0, -1, '3', NAN, INF),
    *rows('DenseCRF', 'bilateral_std_rgb', 0, -1, '3', NAN, INF),
    *rows('DenseCRF', 'threads', 0, -1, 1.5, '2', 10**6),
    *rows('DenseCRF', 'max_memory', 0, -1, '8', None, INF),
    # ---------------------------------------------------------------- segmentors
    *rows_of_test_cfg('mode', 'nope', None, 3, ['whole']),
    *rows_of_test_cfg('crop_size', 3, None, (3, 3, 3), '33', mode='slide', stride=(2, 2)),
    *rows_of_test_cfg('stride', 3, None, (3, 3, 3), mode='slide', crop_size=(4, 4)),
    Row('LRREncoderDecoder', segmentor('test_cfg', mode='slide', crop_size=(0, 4), stride=(2, 2)),
        'test_cfg.crop_size[0]', '0'),
    *rows_of_test_cfg('stride', (5, 5), mode='slide', crop_size=(4, 4)),
    *rows_of_test_cfg('level_outputs', 'yes', 1, None),
    *rows_of_test_cfg('last_level', '64x', 16, ['16x'], ''),
    *rows_of_test_cfg('refine_threshold', -.1, 'x', NAN, None),
    Row('LRREncoderDecoder', segmentor('test_cfg', refine_threshold=1),
        'test_cfg.refine_threshold', '1'),
    *rows_of_test_cfg('crf', 3, 'DenseCRF', {}),
    Row('LRREncoderDecoder', segmentor('test_cfg', crf=dict(type='DenseCRF', preset='nope')),
        'preset', 'nope'),
    Row('LRREncoderDecoder', segmentor('test_cfg', crf=dict(type='BoundaryMask')), 'test_cfg.crf',
        'BoundaryMask'),
    Row('LRREncoderDecoder', segmentor('test_cfg', level_output=True), 'test_cfg',
        "'level_output'"),
    Row('LRREncoderDecoder', {**segmentor('test_cfg'), 'test_cfg': 3}, 'test_cfg', '3'),
    Row('LRREncoderDecoder', {**{k: v for k, v in stock_config().items() if k != 'type'},
                              'test_cfg': dict(level_outputs=True)}, 'test_cfg.level_outputs',
        'FCNHead'),
    *[Row('LRREncoderDecoder', {**{k: v for k, v in stock_config().items() if k != 'type'},
                                'test_cfg': {option: value}}, f'test_cfg.{option}', 'FCNHead')
      for option, value in (('last_level', '16x'), ('refine_threshold', 0.1))],
    Row('LRREncoderDecoder', {**segmentor('decode_head', boundary_mask=None),
                              'test_cfg': dict(refine_threshold=0.5)},
        'test_cfg.refine_threshold', '0.5'),
    # What the head says about the backbone is wrong.
    Row('LRREncoderDecoder', segmentor('decode_head', in_index=[-9, 1, 2, 3]), 'in_index', '-9'),
    Row('LRREncoderDecoder', {**segmentor('decode_head'), 'auxiliary_head': {
        **lrr_config()['decode_head'], 'in_channels': [8, 16, 32, 65]}}, 'in_channels', '65'),
    Row('LRREncoderDecoder', fcn_segmentor(in_channels=[16, 32, 65]), 'in_channels', '65'),
    Row('LRREncoderDecoder', fcn_segmentor(in_channels=[8, 16, 32], in_index=[0, 1, 2]), 'strides',
        '[8, 16, 32]'),
    Row('LRREncoderDecoder', fcn_segmentor(strides=[16, 32, 64]), 'strides', '[16, 32, 64]'),
    Row('LRREncoderDecoder', fcn_segmentor(pool_skips=True), 'strides', '[16, 32, 32]'),
    Row('LRREncoderDecoder', fcn_segmentor(in_index=[1, 2, 4]), 'in_index', '4'),
    Row('LRREncoderDecoder', segmentor('decode_head', in_channels=[8, 16, 32, 65]), 'in_channels',
        '65'),
    Row('LRREncoderDecoder', segmentor('decode_head', in_channels=[64, 32, 16, 8]), 'in_channels',
        '64'),
    Row('LRREncoderDecoder', segmentor('decode_head', in_channels=[8, 16, 32]), 'strides',
        '[8, 16, 32]'),
    Row('LRREncoderDecoder', segmentor('decode_head', in_index=[1, 2, 3, 4]), 'in_index', '4'),
    Row('LRREncoderDecoder', segmentor('decode_head', in_channels=[64, 32, 16, 8],
                                       in_index=[3, 2, 1, 0]), 'strides', '(16, 16)'),
    Row('LRREncoderDecoder', segmentor('decode_head', strides=[8, 16, 32, 64]), 'strides',
        '[8, 16, 32, 64]'),
    Row('LRREncoderDecoder', segmentor('backbone', strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
        'strides', '(4, 4)'),
    *rows('LRRTTAModel', 'module', 3, None, {}),
    *rows('LRRTTAModel', 'fusion', 'median', None, 3, ['max'], base=dict(module=lrr_config())),
    *rows('LRRTTAModel', 'crf', 3, 'x', {}, base=dict(module=lrr_config())),
    Row('LRRTTAModel', dict(module=lrr_config(), crf=dict(type='BoundaryMask')), 'crf',
        'BoundaryMask'),
    *rows('LRRTTAModel', 'pretrained', 'x', base=dict(module=lrr_config())),
    *rows('LRRTTAModel', 'train_cfg', {}, base=dict(module=lrr_config())),
    # ---------------------------------------------------------------- transforms
    *rows('ResizeToCanvas', 'scale', 0, -1, '1', None, NAN, INF, True, 1e9),
    *rows('ResizeToCanvas', 'pad_value', 3, (1, 2), 'abc', None),
    Row('ResizeToCanvas', dict(pad_value=(1, 2, 'a')), 'pad_value[2]', "'a'"),
    Row('ResizeToCanvas', dict(pad_value=(NAN, 2, 3)), 'pad_value[0]', 'nan'),
    *rows('ResizeToCanvas', 'divisor', 0, -32, 1.5, '32', None, 10**12),
    *rows('ScaleAugmentation', 'steps', 3, 'ab', [], None),
    *[Row('ScaleAugmentation', dict(steps=steps), 'steps', repr(steps))
      for steps in ((1, 2, 3), (3, 1), (-12, 3), (0, 10**30), (0, 2037))],
    Row('ScaleAugmentation', dict(steps=(1.5, 2)), 'steps[0]', '1.5'),
    *rows('ScaleAugmentation', 'divisor', 0, '32', 1.5, 10**12),
    *rows('RatioAugmentation', 'ratio_range', 1, (1, ), (2, 1), None),
    *[Row('RatioAugmentation', dict(ratio_range=(least, 1)), 'ratio_range', repr(least))
      for least in (0, -1, 'a', NAN, INF)],
    Row('RatioAugmentation', dict(ratio_range=(1, 1e300)), 'ratio_range', '1e+300'),
    *[row for name in ('ScaleAugmentation', 'RatioAugmentation') for row in (
        *rows(name, 'canvas', 0, -1, '384', 384.0, None, 10**12),
        *rows(name, 'pad_value', -1, 256, 'a', NAN, None),
        *rows(name, 'seg_pad_value', -1, 256, 1.5, 'a', None))],
    *rows('LoadAnnotationsIfAny', 'imdecode_backend', 'paint', None, 3, 'turbojpeg', ['pillow']),
    *rows('LoadAnnotationsIfAny', 'reduce_zero_label', 'yes', 3),
    *rows('LoadAnnotationsIfAny', 'backend_args', 3, 'x'),
    # ---------------------------------------------------------------- metrics
    *rows('TrimapIoUMetric', 'widths', [], 0, 3, '3', None, [1, 1]),
    *[Row('TrimapIoUMetric', dict(widths=[3, width]), 'widths[1]', repr(width))
      for width in (0, -1, 1.5, '3', True)],
    *rows('TrimapIoUMetric', 'boundaries', 'edges', None, ['labels']),
    *[row for option in ('csv_path', 'plot_path')
      for row in rows('TrimapIoUMetric', option, 3, '', os.path.dirname(__file__),
                      f'{__file__}/a', f'{__file__}/a/b', 'a\0b', 'nowhere/yet/..', '/dev/null',
                      '/proc/self/x.csv', '/proc/nowhere/x.csv', 'x' * 256, f'no/{"x" * 256}/y',
                      'a/' * 3000)],
    Row('TrimapIoUMetric', dict(csv_path='a/b', plot_path='a/./b'), 'plot_path', "'a/./b'"),
    Row('LRRIoUMetric', dict(trimap=dict(csv_path=os.path.dirname(__file__))), 'csv_path',
        'test_reliability'),
    *rows('LRRIoUMetric', 'iou_metrics', 'IoU', [], 3, None),
    Row('LRRIoUMetric', dict(iou_metrics=['mIoU', 'IoU']), 'iou_metrics', "'IoU'"),
    *rows('LRRIoUMetric', 'iou_metrics', ['mIoU', 'mIoU']),
    *rows('LRRIoUMetric', 'nan_to_num', 'a', NAN, INF),
    Row('LRRIoUMetric', dict(nan_to_num=1, absent_classes='zero'), 'nan_to_num', '1'),
    *rows('LRRIoUMetric', 'beta', 0, -1, '1', NAN, INF, None),
    *rows('LRRIoUMetric', 'trimap', 3, [3]),
    Row('LRRIoUMetric', dict(trimap=dict(widths=[0])), 'widths[0]', '0'),
    Row('LRRIoUMetric', dict(trimap=dict(width=[3])), 'trimap', "'width'"),
    *rows('LRRIoUMetric', 'output_dir', 3, '', __file__, f'{__file__}/a', 'a\0b', '/proc/nowhere',
          'x' * 256),
    *rows('LRRIoUMetric', 'format_only', 1, None),
    Row('LRRIoUMetric', dict(format_only=True), 'output_dir', 'None'),
    *rows('LRRIoUMetric', 'keep_results', False, None),
    *[row for name in ('TrimapIoUMetric', 'LRRIoUMetric') for row in (
        *rows(name, 'ignore_index', 'a', None, 1.5),
        *rows(name, 'absent_classes', 'one', None, ['zero']))],
    *rows('VOCSubmission', 'competition', 'comp7', 6, None, ['comp6'], base=OUT),
    *rows('VOCSubmission', 'archive', 'zip', 3, base=OUT),
    *rows('CityscapesSubmission', 'archive', 'tar', 3, base=OUT),
    *[row for name in ('VOCSubmission', 'CityscapesSubmission') for row in (
        *rows(name, 'output_dir', 3, None, '', f'{__file__}/a', 'a\0b'),
        Row(name, dict(output_dir=os.path.dirname(__file__)), 'output_dir', 'test_reliability'),
        Row(name, dict(output_dir=__file__), 'output_dir', 'test_bad_configuration.py'),
        *rows(name, 'overwrite', 'yes', 1, None, base=OUT),
        *rows(name, 'keep_results', False, base=OUT))],
    *[row for name, base in (('TrimapIoUMetric', {}), ('LRRIoUMetric', {}), ('VOCSubmission', OUT),
                             ('CityscapesSubmission', OUT)) for row in (
        *rows(name, 'collect_device', 'tpu', None, base=base),
        *rows(name, 'prefix', 3, '', base=base))],
    # ---------------------------------------------------------------- hooks, data sets
    *rows('ClassBasesHook', 'bases_file', 3, ''),
    Row('ClassBasesHook', dict(bases_file='/nowhere.npy'), 'bases_file', '/nowhere.npy'),
    *rows('ClassBasesHook', 'num_patches', 0, -1, 1.5, '10', None),
    *rows('ClassBasesHook', 'seed', -1, 1.5, '0', None),
    *rows('LRRVisualizationHook', 'count', 0, -1, 1.5, '4', None),
    *rows('LRRVisualizationHook', 'cell_width', 39, 0, 1.5, '200', None),
    *[row for name in ('CamVidDataset', 'ShapesDataset') for row in (
        *rows(name, 'ann_file', 3, None, ''),
        Row(name, dict(ann_file='/nowhere.txt'), 'ann_file', '/nowhere.txt'),
        Row(name, dict(ann_file='train.txt', data_root='/nowhere'), 'ann_file',
            '/nowhere/train.txt'),
        *rows(name, 'data_root', 3, base=dict(ann_file='a.txt')),
        *rows(name, 'data_prefix', 3, {}, dict(seg_map_path='a'), base=dict(ann_file='a.txt')),
        Row(name, dict(ann_file='a.txt', data_prefix=dict(img_path=3)), 'data_prefix img_path',
            '3'),
        Row(name, dict(ann_file='a.txt', data_prefix=dict(img_path='a', labels='b')), 'data_prefix',
            "'labels'"),
        *rows(name, 'img_suffix', 3, '', base=dict(ann_file='a.txt')),
        *rows(name, 'seg_map_suffix', 3, '', base=dict(ann_file='a.txt')),
        *rows(name, 'reduce_zero_label', 'x', base=dict(ann_file='a.txt')),
        *rows(name, 'test_mode', 1, base=dict(ann_file='a.txt')),
        *rows(name, 'lazy_init', 1, base=dict(ann_file='a.txt')),
        *rows(name, 'ignore_index', 'x', 1.5, base=dict(ann_file='a.txt')),
        *rows(name, 'max_refetch', 'x', -1, 1.5, None, base=dict(ann_file='a.txt')),
        *rows(name, 'filter_cfg', 3, 'x', [], base=dict(ann_file='a.txt')),
        *rows(name, 'backend_args', 3, 'x', base=dict(ann_file='a.txt')),
        *rows(name, 'indices', 0, [], 'x', 1.5, True, base=dict(ann_file='a.txt')),
        Row(name, dict(ann_file='a.txt', indices=[0, 'x']), 'indices[1]', "'x'"))],
    *rows('LRRCheckpointHook', 'interval', 'a', 0, -3, 1.5, None, True, NAN, [1]),
    *rows('LRRCheckpointHook', 'max_keep_ckpts', 0, -5, 'x', 1.5, None),
    *rows('LRRCheckpointHook', 'save_begin', -1, 1.5, 'x', None),
    *[row for option in ('by_epoch', 'save_optimizer', 'save_param_scheduler', 'save_last')
      for row in rows('LRRCheckpointHook', option, 'no', 1, None)],
    *rows('LRRCheckpointHook', 'out_dir', 3, ''),
    *rows('LRRCheckpointHook', 'filename_tmpl', 3, '', 'latest.pth', '{}{}.pth', '{x}.pth',
          '{}{x}.pth', '{}}.pth', '../x_{}.pth', 'sub/x_{}.pth', '/x_{}.pth'),
    *rows('LRRCheckpointHook', 'backend_args', 3, 'x', []),
    Row('LRRCheckpointHook', dict(backend_args=dict(backend='nope')), 'backend_args', "'nope'"),
    *rows('LRRCheckpointHook', 'less_keys', ['a', 'loss'],
          base=dict(greater_keys=['mIoU', 'Loss'])),
    *rows('LRRCheckpointHook', 'file_client_args', 3, 'x'),
    *rows('LRRCheckpointHook', 'save_best', 3, '', [], ['auto', 'mIoU'], ['mIoU', 'mIoU']),
    Row('LRRCheckpointHook', dict(save_best=['mIoU', 3]), 'save_best[1]', '3'),
    *rows('LRRCheckpointHook', 'rule', 3, [], base=dict(save_best='mIoU')),
    Row('LRRCheckpointHook', dict(save_best='mIoU', rule='nope'), 'rule', "'nope'"),
    Row('LRRCheckpointHook', dict(rule='less'), 'rule', "['less']"),
    *rows('LRRCheckpointHook', 'rule', ['less', 'greater'], base=dict(save_best='mIoU')),
    *[row for option in ('greater_keys', 'less_keys', 'published_keys')
      for row in rows('LRRCheckpointHook', option, 3, '', [], ['a', 'a'])],
    Row('LRRCheckpointHook', dict(max_keep_ckpt=1), "'max_keep_ckpts'", "'max_keep_ckpt'"),
    Row('LRRCheckpointHook', dict(nope=3), 'LRRCheckpointHook option', "'nope'"),
    # ---------------------------------------------------------------- loop
    *rows('LRRTestLoop', 'collect_failures', 'yes', 1, None),
    *rows('LRRTestLoop', 'max_pending', -1, 1.5, '2', None),
    *rows('LRRTestLoop', 'fp16', 'yes', 1, None),
]


def label(row: Row) -> str:
    """A test's name: the component, the option and the value."""
    value = row.value if len(row.value) < 30 else row.value[:27] + '...'
    return f'{row.component}-{row.option}-{value}'


def build(row: Row) -> None:
    registry, _ = registered()[row.component]
    options = row.options
    if row.component == 'LRRTestLoop':  # It is given a runner, which is not looked at before.
        options = {'runner': None, 'dataloader': None, 'evaluator': None, **options}
    init_default_scope('mmseg')
    registry.build(ConfigDict(type=row.component, **options))


@pytest.mark.parametrize('row', TABLE, ids=label)
def test_refused_when_built(row: Row) -> None:
    with pytest.raises((TypeError, ValueError, KeyError, OSError)) as raised:
        build(row)
    message = str(raised.value)
    for part in (row.option, row.value):
        # On its own: a 3 is in many a number.
        assert re.search(rf'(?<![\w.]){re.escape(part)}(?![\w])', message), message


def test_every_registered_class_has_rows() -> None:
    names = set(registered())
    assert len(names) >= 25
    assert {row.component for row in TABLE} | BARE == names
    assert not {row.component for row in TABLE} & BARE


@pytest.mark.parametrize('name', sorted(BARE))
def test_without_options_unknown_ones_are_refused(name: str) -> None:
    registry, _ = registered()[name]
    with pytest.raises(TypeError, match='no_such_option|takes no arguments'):
        registry.build(dict(type=name, no_such_option=1))


def test_every_option_is_in_the_table() -> None:
    """Of each class's own signature; ``**kwargs`` are the toolbox's."""
    not_checked = {
        'runner', 'dataloader', 'evaluator',  # LRRTestLoop: built and checked by the toolbox
        'data_preprocessor',                  # LRRTTAModel: likewise
        'module',
    }
    for name, (_, kind) in registered().items():
        tried = {option for row in TABLE if row.component == name for option in row.options}
        for option, parameter in inspect.signature(INHERITED.get(name, kind)).parameters.items():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            assert option in tried | not_checked, f'{name}.{option} has no row'


# ------------------------------------------------------------------------------- combinations


def test_a_decoder_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tifffile', None)
    with pytest.raises(ValueError, match="imdecode_backend='tifffile' needs the package tifffile"):
        mmseg.registry.TRANSFORMS.build(
            dict(type='LoadAnnotationsIfAny', imdecode_backend='tifffile'))


def test_in_channels_of_the_stock_segmentor_are_refused_at_the_first_batch() -> None:
    """It does not ask the head when it is built."""
    from ..small_segmentors import build as build_model
    config = lrr_config(type='EncoderDecoder', head=dict(in_channels=[8, 16, 32, 65]))
    model = build_model(config)
    with pytest.raises(ValueError, match='in_channels says 65 channels at level 32x.* 64 '):
        model(torch.zeros(1, 3, 32, 32))


def test_the_backbone_is_left_as_it_was() -> None:
    """Looking at its maps changes no statistics, no mode and no random number."""
    config = lrr_config()
    config['backbone'].update(norm_eval=True, frozen_stages=1)
    registry = mmseg.registry.MODELS
    torch.manual_seed(0)
    model = registry.build(ConfigDict(config))
    drawn = torch.rand(4)
    torch.manual_seed(0)
    stock = registry.build(ConfigDict({**config, 'type': 'EncoderDecoder'}))
    assert torch.equal(drawn, torch.rand(4))
    for (name, ours), theirs in zip(model.state_dict().items(), stock.state_dict().values(),
                                    strict=True):
        assert torch.equal(ours, theirs), name
    modes = [module.training for module in model.modules()]
    assert modes == [module.training for module in stock.modules()]


@pytest.mark.parametrize('shape', [(2, 10, 32, 32), (3, 9, 32, 32), (3, 10, 16, 16), (30, 32, 32)])
def test_bases_of_a_wrong_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    head = mmseg.registry.MODELS.build(dict(type='LRRHead', **LRR))
    with pytest.raises(ValueError, match=r'bases must have shape \(3, 10, 32, 32\)') as raised:
        head.set_bases(np.zeros(shape, np.float32))
    assert str(shape) in str(raised.value)
    np.save(tmp_path / 'bases.npy', np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match='bases.npy have shape') as raised:
        load_class_bases(tmp_path / 'bases.npy', 3, 10)
    assert str(shape) in str(raised.value) and '(3, 10 or more, 32, 32)' in str(raised.value)


@pytest.mark.parametrize('fill', [NAN, INF])
def test_bases_that_are_no_numbers_are_refused(tmp_path: Path, fill: float) -> None:
    head = mmseg.registry.MODELS.build(dict(type='LRRHead', **LRR))
    bases = np.zeros((3, 10, 32, 32), np.float32)
    bases[1, 2, 3, 4] = fill
    with pytest.raises(ValueError, match='bases must be finite'):
        head.set_bases(bases)
    with pytest.raises(ValueError, match='bases must be finite'):
        head.set_bases(np.where(np.isfinite(bases), bases, 1e300))
    np.save(tmp_path / 'bases.npy', bases)
    with pytest.raises(ValueError, match='bases.npy must be finite'):
        load_class_bases(tmp_path / 'bases.npy', 3, 10)


@pytest.mark.parametrize('kind', ['LRRHead', 'FCNSkipHead'])
def test_a_head_with_too_few_classes_names_the_label_and_its_file(kind: str) -> None:
    head = mmseg.registry.MODELS.build(dict(type=kind, in_channels=[4], num_classes=2))
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([[[0, 2], [1, 1]]])),
                           metainfo=dict(seg_map_path='labels/a.png'))
    with pytest.raises(ValueError, match=r'0 \.\. 1 or 255, got \[2\] in labels/a\.png'):
        head.loss([torch.zeros(1, 4, 1, 1)], [sample], None)
