# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Comparing a config with the converted weights that it is to run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS

# Configs carry mean colours with two decimals.
_MEAN_TOLERANCE = 0.01


def network_of(config: Config) -> dict[str, Any]:
    """Find what a config says of the network, as far as weights do not tell it.

    Args:
        config: A config with a ``model``.

    Returns:
        dict: ``mean``, ``std``, ``rgb`` of the input; ``num_classes``, ``num_bases``, ``levels``,
        ``mask_windows`` (all different ones; empty without a mask), ``upsample_border`` of an LRR
        head; ``classes`` of the test data set, None if it is unknown.
    """
    data = config.model.get('data_preprocessor') or {}
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    classes = dataset.get('metainfo', {}).get('classes')
    # The model takes no memory: its tensors have shapes and no values.
    scope = DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg'))
    with scope, torch.device('meta'):
        head = MODELS.build(config.model).decode_head
        masks = [m for m in head.modules() if isinstance(m, MODELS.get('BoundaryMask'))]
        if classes is None and 'type' in dataset:
            classes = getattr(DATASETS.get(dataset['type']), 'METAINFO', {}).get('classes')
    return dict(
        mean=data.get('mean'),
        std=data.get('std') or (1.0, 1.0, 1.0),
        rgb=data.get('bgr_to_rgb', False),
        num_classes=head.num_classes,
        num_bases=head.channels // head.num_classes,
        levels=list(getattr(head, 'levels', ())),
        mask_windows=sorted({mask.window for mask in masks}),
        upsample_border=config.model.decode_head.get('upsample_border', 'zeros'),
        classes=classes,
    )


def config_differences(config: Config, meta: Mapping[str, Any]) -> list[str]:
    """List what a config would silently do differently from the network converted.

    Args:
        config: A config with a ``model``.
        meta: The checkpoint's meta, as :class:`~.matconvnet.Conversion` has
            it.

    Returns:
        list[str]: One sentence per difference; empty if there is none.
    """
    ours, theirs = network_of(config), meta.get('lrr') or meta['vgg']
    found = []

    def differs(name: str, our_value: Any, their_value: Any) -> None:
        found.append(f"the config's {name} is {our_value}, the network's {their_value}")

    mean = theirs['mean']
    if mean and (not ours['mean'] or not np.allclose(ours['mean'], mean, 0, _MEAN_TOLERANCE)):
        differs('mean colour (model.data_preprocessor.mean)', ours['mean'], mean)
    if any(value != 1 for value in ours['std']):
        found.append(f"the config divides by std {ours['std']}, the network by nothing")
    if not ours['rgb']:
        found.append('the config leaves images BGR (bgr_to_rgb), the network needs RGB')
    if 'lrr' not in meta:
        return found
    for name in ('num_classes', 'num_bases', 'levels'):
        if ours[name] != theirs[name]:
            differs(name, ours[name], theirs[name])
    if theirs['mask_window'] and ours['mask_windows'] != [theirs['mask_window']]:
        windows = ', '.join(map(str, ours['mask_windows'])) or 'missing'
        differs('mask window', windows, theirs['mask_window'])
    if ours['upsample_border'] != 'zeros':
        differs('upsample_border', ours['upsample_border'], 'zeros')
    if ours['classes'] and list(ours['classes']) != theirs['classes']:
        differs('classes', list(ours['classes']), theirs['classes'])
    return found
