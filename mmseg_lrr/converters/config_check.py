# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Comparing a config with the converted weights that it is to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn

# Configs carry mean colours with two decimals.
_MEAN_TOLERANCE = 0.01


def config_differences(
    config: Config, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]
) -> list[str]:
    """Lists what a config's model would do differently from the network converted.

    Args:
        config (Config): A config with a ``model``.
        state_dict (Mapping[str, Tensor]): The converted weights.
        meta (Mapping[str, Any]): The checkpoint's meta, as
            :class:`~.from_matconvnet.Conversion` has it.

    Returns:
        list[str]: One sentence a difference; empty if there is none.
    """
    model = bare_model(config)
    needs = meta.get('lrr') or meta['vgg']
    found = _colour_differences(config.model.get('data_preprocessor') or {}, needs['mean'])
    if 'lrr' in meta:
        found += _head_differences(model.decode_head, needs)
        found += _class_differences(config, needs['classes'])
    found += _weight_differences(model, state_dict)
    return found


def bare_model(config: Config) -> nn.Module:
    """Builds a config's model without memory for its weights, on PyTorch's ``meta`` device.

    Args:
        config (Config): A config with a ``model``.

    Returns:
        nn.Module: The model; its tensors have shapes and no values.
    """
    with _scope(config), torch.device('meta'):
        return MODELS.build(config.model)


def _scope(config: Config) -> AbstractContextManager:
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg'))


def _colour_differences(preprocessor: Mapping, mean: Sequence[float] | None) -> list[str]:
    found = []
    ours = preprocessor.get('mean')
    if mean is not None and (
        ours is None
        or len(ours) != len(mean)
        or not np.allclose(ours, mean, rtol=0, atol=_MEAN_TOLERANCE)
    ):
        found.append(
            f"the config's mean colour is {ours}, the network's {mean}: write that into the config "
            '(model.data_preprocessor.mean and, turned to BGR, the pad_value of its pipelines)'
        )
    if any(value != 1 for value in preprocessor.get('std') or ()):
        found.append(
            f"the config divides by std {preprocessor['std']}, the network's input is not divided"
        )
    if not preprocessor.get('bgr_to_rgb', False):
        found.append('the config leaves images BGR (bgr_to_rgb), the network needs RGB')
    return found


def _head_differences(head: nn.Module, needs: Mapping[str, Any]) -> list[str]:
    found = []
    for name in ('num_classes', 'num_bases', 'levels'):
        ours, theirs = getattr(head, name, None), needs[name]
        if ours != theirs:
            found.append(f"the config's {name} is {ours}, the network's {theirs}")
    window = needs['mask_window']
    windows = {mask.window for mask in getattr(head, 'masks', {}).values()}
    if window is not None and windows != {window}:
        ours = ', '.join(map(str, sorted(windows))) or 'missing'
        found.append(f"the config's mask window is {ours}, the network's {window}")
    borders = {upsample.border for upsample in getattr(head, 'upsamples', {}).values()}
    if borders - {'zeros'}:
        found.append(f"the config's upsample_border is {borders.pop()!r}, the network's 'zeros'")
    return found


def _class_differences(config: Config, classes: Sequence[str]) -> list[str]:
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    ours = dataset.get('metainfo', {}).get('classes')
    if ours is None and 'type' in dataset:
        with _scope(config):
            ours = getattr(DATASETS.get(dataset['type']), 'METAINFO', {}).get('classes')
    if ours is None or list(ours) == list(classes):
        return []
    different = [
        f'{i}: {a!r} and {b!r}'
        for i, (a, b) in enumerate(zip(ours, classes, strict=False))
        if a != b
    ]
    counts = [f'{len(ours)} and {len(classes)} classes'] if len(ours) != len(classes) else []
    return [
        "the config's class names differ from the network's: " + ', '.join(counts + different)
    ]


def _weight_differences(model: nn.Module, state_dict: Mapping[str, Tensor]) -> list[str]:
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
    # Weights of the backbone alone leave the head as it is.
    parts = {name.split('.')[0] for name in theirs}
    found = [
        f"the config's model has no {name}" for name in theirs if name not in ours
    ] + [
        f"{name} of the config's model is not in the network"
        for name in ours
        if name not in theirs and name.split('.')[0] in parts
    ]
    found += [
        f"{name} of the config's model is {ours[name]}, the network's {theirs[name]}"
        for name in ours
        if name in theirs and ours[name] != theirs[name]
    ]
    return found
