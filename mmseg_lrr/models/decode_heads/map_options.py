# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checks of what both heads have: which maps they read, their losses and their labels."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

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


def check_index(in_index: Sequence[int], num_maps: int) -> None:
    """Refuse indices of maps that a backbone does not give; negative ones count from the last.

    Raises:
        ValueError: naming the index.
    """
    for index in in_index:
        if not -num_maps <= index < num_maps:
            raise ValueError(f'in_index asks for map {index}, but the backbone gives {num_maps} '
                             'maps')
    if len({index % num_maps for index in in_index}) < len(in_index):
        raise ValueError(f'in_index must name each map once, got {list(in_index)} for {num_maps} '
                         'maps')


def check_channels(features: Mapping[str, Tensor], channels: Mapping[str, int]) -> None:
    """Refuse maps that have not the channels that a head was built for.

    Args:
        features: (N, channels, h, w) by level.
        channels: what ``in_channels`` says, by level.

    Raises:
        ValueError: naming the level and both numbers.
    """
    for level, feature in features.items():
        if feature.shape[1] != channels[level]:
            raise ValueError(
                f'in_channels says {channels[level]} channels at level {level}, but the backbone '
                f'gives {feature.shape[1]} (map of shape {tuple(feature.shape)})')


def check_strides_found(features: Mapping[str, Tensor], side: int) -> None:
    """Refuse maps of other strides than the names of their levels say.

    Args:
        features: (N, channels, h, w) by level, coarse to fine, of a square input.
        side: of that input in pixels, a multiple of all strides.

    Raises:
        ValueError: naming both lists of strides.
    """
    found = {level: side // feature.shape[-1] for level, feature in features.items()}
    if any(level != f'{stride}x' for level, stride in found.items()):
        said = [int(level[:-1]) for level in reversed(found)]
        raise ValueError(f'strides says {said}, but the maps that are read have '
                         f'{list(reversed(found.values()))} (fine to coarse)')


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
    """Refuse modules that are no losses of class scores, or would not be trained on.

    Raises:
        TypeError, ValueError: naming the loss and what is wrong with it.
    """
    for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
        kind = type(loss).__name__
        if not hasattr(loss, 'loss_name'):
            raise ValueError(f'loss_decode must be a loss with a loss_name, got {kind}')
        # The toolbox trains on what has "loss" in its name, and only logs the rest.
        if 'loss' not in loss.loss_name:
            raise ValueError(f"loss_name of {kind} must contain 'loss', got {loss.loss_name!r}")
        try:
            inspect.signature(loss.forward).bind('scores', 'labels', ignore_index=255)
        except TypeError as error:
            raise ValueError(
                f'loss_decode must be a loss that is called with scores, labels and ignore_index, '
                f'got {kind}: {error}') from error
        if getattr(loss, 'use_mask', False):
            raise ValueError(f'use_mask of {kind} must be False: scores are of classes, and a mask '
                             'of one class is not among the labels; got True')
        # LovaszLoss gives one number, although it asks for reduction='none'.
        if getattr(loss, 'reduction', 'mean') == 'none' and kind != 'LovaszLoss':
            raise ValueError(f"reduction of {kind} must give one number, 'mean' or 'sum', got "
                             "'none'")
        weights = getattr(loss, 'class_weight', None)
        if weights is None:
            continue
        if len(weights) != num_classes:
            raise ValueError(f'class_weight of {kind} must have one weight for each of the '
                             f'{num_classes} classes, got {len(weights)}: {weights!r}')
        checks.numbers(f'class_weight of {kind}', list(weights), (num_classes, ), 0)


def one_number(loss: Tensor, scores: Tensor) -> Tensor:
    """A loss as it is, or 0 where it is no number at all, as LovaszLoss without a pixel is."""
    return loss if loss.numel() else 0 * scores.sum()


def check_labels(labels: Tensor, num_classes: int, ignore_index: int, samples: SampleList) -> None:
    """Refuse labels that are no classes, and name the file of the first image that has some.

    Args:
        labels: (N, 1, H, W).
        num_classes: labels must be below it.
        ignore_index: the one other label.
        samples: the batch's, for their files.

    Raises:
        ValueError: naming the labels and the file.
    """
    wrong = ((labels < 0) | (labels >= num_classes)) & (labels != ignore_index)
    if wrong.any():
        image = int(wrong.flatten(1).any(dim=1).nonzero()[0])
        metainfo = samples[image].metainfo
        found = sorted(set(labels[image][wrong[image]].tolist()))
        raise ValueError(
            f'labels must be 0 .. {num_classes - 1} or {ignore_index}, got {found} '
            f'in {metainfo.get("seg_map_path") or metainfo.get("img_path", "a sample")}')
