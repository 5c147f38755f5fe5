# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What a MatConvNet file says of a network beside its weights: window, mean colour, class names."""

from __future__ import annotations

import re
from typing import Any

from mmseg.utils import get_classes, get_palette

from .mat_values import MatFileError, StructArray, describe, fields, fields_or_none, is_real
from .matconvnet import USUAL_WINDOW, LrrLayout

# Data sets whose class names stand in for names that a file lacks, by the number of classes.
_KNOWN_DATASETS = {21: 'voc', 19: 'cityscapes'}


def mask_window(
    layers: Any, layout: LrrLayout, window: int | None, warnings: list[str]
) -> int | None:
    """Finds the side of the mask's window: in the layers, else as given, else the usual one.

    Args:
        layers (Any): ``net.layers``; anything but a struct array counts as missing.
        layout (LrrLayout): What the network consists of.
        window (int or None): The side that the user gives.
        warnings (list[str]): Is told what the file does not say, or says otherwise.

    Returns:
        int or None: The side in pixels of the masked map; None if there is no level to mask.

    Raises:
        MatFileError: If the layers' windows differ or are none.
    """
    if len(layout.levels) == 1:
        return None
    found = {}
    for layer in layers if isinstance(layers, StructArray) else ():
        name = layer.get('name')
        if isinstance(name, str) and re.match(r'(neg_)?prob_dilate_', name):
            size = fields(layer.get('block'), f'the block of {name}').get('poolSize')
            if not is_real(size) or size.size not in (1, 2):
                raise MatFileError(f'{name}: poolSize must be two numbers, got {describe(size)}')
            found[name] = tuple(size.ravel().tolist())
    sides = {side for size in found.values() for side in size}
    if len(sides) > 1 or any(side < 3 or side % 2 != 1 for side in sides):
        sizes = ', '.join(f'{name} {size}' for name, size in found.items())
        raise MatFileError(f'the mask windows must all be one odd square, got {sizes}')
    if sides:
        in_file = int(sides.pop())
        if window not in (None, in_file):
            warnings.append(f'the mask window in the file, {in_file}, overrides the {window} given')
        return in_file
    if window is None:
        warnings.append(
            f'the mask window is not in the file (no layer prob_dilate_*): {USUAL_WINDOW} is taken'
        )
        return USUAL_WINDOW
    return window


def rgb_mean(meta: dict, warnings: list[str]) -> list[float] | None:
    """The mean colour (R, G, B), 0 to 255, that the network was trained with, if it is there.

    Args:
        meta (dict): The fields of ``net.meta``.
        warnings (list[str]): Is told if there is none.
    """
    # ``averageImage`` lies beside it, which is VGG's own and not what LRR was trained with.
    mean = fields_or_none(meta.get('normalization')).get('rgbMean')
    if is_real(mean) and mean.size == 3:
        return mean.ravel().tolist()
    warnings.append('the mean colour (net.meta.normalization.rgbMean) is not in it')
    return None


def class_names(
    value: Any, num_classes: int, warnings: list[str]
) -> tuple[list[str], list[list[int]]]:
    """The class names, and the palette of the data set that has them.

    Args:
        value (Any): ``net.meta.classes``: the names, with or without the background, or a struct
            that has them.
        num_classes (int): The number of classes of the network.
        warnings (list[str]): Is told if other names stand in.

    Returns:
        tuple[list[str], list[list[int]]]: Names and (R, G, B) of every class.
    """
    if isinstance(value, StructArray):
        value = fields_or_none(value).get('name')
    names = value if isinstance(value, list) else []
    if len(names) == num_classes - 1 and 'background' not in names:
        names = ['background', *names]
    dataset = _KNOWN_DATASETS.get(num_classes)
    if len(names) != num_classes or not all(isinstance(name, str) for name in names):
        replacement = dataset or 'numbers'
        warnings.append(
            f'{len(names)} class names (net.meta.classes) for {num_classes} classes: '
            f'{replacement} stand in'
        )
        names = get_classes(dataset) if dataset else [str(i) for i in range(num_classes)]
    if dataset and list(names) == get_classes(dataset):
        return list(names), get_palette(dataset)
    return list(names), [_voc_colour(i) for i in range(num_classes)]


def _voc_colour(index: int) -> list[int]:
    """PASCAL VOC's colour of a class: bit k of the index, dealt to R, G, B from the top bit on."""
    return [
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    ]
