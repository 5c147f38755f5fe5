# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checks of the options that both heads have: which maps they read, and their losses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmseg.utils import ConfigType
from torch import nn

from mmseg_lrr.ops import checks


def check_maps(in_channels: Any, in_index: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and indices of the maps that a head reads, one a map, fine to coarse.

    Args:
        in_channels: an int for a single map, or a list.
        in_index: likewise; None for the first maps.

    Raises:
        TypeError, ValueError: if they are no integers, do not fit each other, or name a map twice.
    """
    if isinstance(in_channels, int):
        in_channels = [in_channels]
    in_channels = checks.integers('in_channels', in_channels, 1)
    if in_index is None:
        in_index = range(len(in_channels))
    elif isinstance(in_index, int):
        in_index = [in_index]
    in_index = checks.integers('in_index', in_index)
    if len(in_index) != len(in_channels):
        raise ValueError(f'in_index must have one index for each of the {len(in_channels)} '
                         f'in_channels, got {list(in_index)}')
    if len(set(in_index)) < len(in_index):
        raise ValueError(f'in_index must name each map once, got {list(in_index)}')
    return in_channels, in_index


def check_strides(strides: Any, num_maps: int) -> tuple[int, ...]:
    """Strides of the maps, fine to coarse.

    Raises:
        TypeError, ValueError: unless each is twice the one before it, and there is one a map.
    """
    strides = checks.integers('strides', strides, 2)
    if len(strides) != num_maps or any(
            coarse != 2 * fine for fine, coarse in zip(strides, strides[1:], strict=False)):
        raise ValueError('strides must double from one map to the next, one for each of the '
                         f'{num_maps} in_channels, fine to coarse, got {list(strides)}')
    return strides


def check_loss_configs(loss_decode: ConfigType | Sequence[ConfigType], ignore_index: Any,
                       init_cfg: Any) -> None:
    """Refuse what the toolbox's head would take without a word.

    Raises:
        TypeError, ValueError: if one of them is of another kind.
    """
    checks.configs('loss_decode', loss_decode)
    for loss in [loss_decode] if isinstance(loss_decode, Mapping) else loss_decode:
        weights = loss.get('class_weight')
        # The toolbox's losses read pickles and YAML too, which can run commands.
        if isinstance(weights, str) and not weights.endswith(('.npy', '.json')):
            raise ValueError(f'class_weight of {loss["type"]} must be a list, or a .npy or .json '
                             f'file, got {weights!r}')
    checks.integer('ignore_index', ignore_index)
    if init_cfg is not None:
        checks.configs('init_cfg', init_cfg)


def check_loss_modules(losses: nn.Module | Iterable[nn.Module], num_classes: int) -> None:
    """Refuse modules that are no losses, and class weights of another number of classes.

    Raises:
        ValueError: naming the loss.
    """
    for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
        kind = type(loss).__name__
        if not hasattr(loss, 'loss_name'):
            raise ValueError(f'loss_decode must be a loss with a loss_name, got {kind}')
        weights = getattr(loss, 'class_weight', None)
        if weights is not None and len(weights) != num_classes:
            raise ValueError(f'class_weight of {kind} must have one weight for each of the '
                             f'{num_classes} classes, got {len(weights)}: {weights!r}')
