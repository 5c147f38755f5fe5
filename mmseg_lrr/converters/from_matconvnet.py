# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' released networks, and the ImageNet network they start from, as checkpoints."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.utils import get_classes, get_palette
from torch import Tensor

from .. import checks
from ..evaluation.replacing import replacing
from .mat_file import read_mat
from .mat_values import MatFileError, StructArray, Unread
from .matconvnet import (
    BILINEAR,
    FC_CHANNELS,
    USUAL_WINDOW,
    LrrLayout,
    Parameter,
    usual_name,
    vgg_parameters,
)

# Data sets whose class names stand in for names that a file lacks, by the number of classes.
_KNOWN_DATASETS = {21: 'voc', 19: 'cityscapes'}


@dataclass
class Conversion:
    """A network read from a MatConvNet file.

    Args:
        state_dict (dict[str, Tensor]): Weights under a segmentor's names, float32.
        meta (dict): The checkpoint's meta: ``dataset_meta`` (classes and palette) and ``lrr`` or,
            for the ImageNet network, ``vgg``: what the weights need and where they come from.
        moves (list[str]): What went where, one line a parameter.
        warnings (list[str]): What the user should know.
    """

    state_dict: dict[str, Tensor] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the checkpoint, whole or not at all."""
        with replacing(path) as temporary:
            torch.save(dict(meta=self.meta, state_dict=self.state_dict), temporary)


def convert(
    path: str | os.PathLike, *, window: int | None = None, fc_channels: int = FC_CHANNELS
) -> Conversion:
    """Reads a MatConvNet network: a released LRR network, or ImageNet's VGG-16.

    Which it is, is found in the file: a DagNN with LRR's parameters, or a SimpleNN, a cell array
    of layers. Of an LRR network the number of classes, the levels and the dilation and erosion
    branch are found from its parameters, and the mask window from its layers.

    Args:
        path (str or PathLike): The ``.mat`` file, of version 7 or 7.3.
        window (int, optional): The side of the mask's window in pixels of the masked map, for a
            file that does not say it. Defaults to the released training code's 9, with a
            warning.
        fc_channels (int): Channels of fc6 and fc7. Defaults to VGG-16's 4096.

    Returns:
        Conversion: Weights, meta, and what is to be told.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the file is of version 7.3 and h5py is missing.
        MatFileError: If the file is no MATLAB file or not such a network. Missing, extra and
            wrong parameters are listed together.
        TypeError, ValueError: If ``window`` is not odd and at least 3.
    """
    if window is not None:
        checks.integer('window', window, 3)
        if window % 2 == 0:
            raise ValueError(f'window must be an odd integer >= 3, got {window}')
    path = Path(path)
    variables = read_mat(path, ('net', 'layers', 'meta', 'normalization', 'classes'))
    try:
        net = _fields(variables.pop('net'), 'net') if 'net' in variables else variables
        if 'params' in net:
            conversion = _convert_lrr(net, window, fc_channels)
            details = conversion.meta['lrr']
        elif isinstance(net.get('layers'), list):
            conversion = _convert_vgg(net, fc_channels)
            details = conversion.meta['vgg']
        else:
            raise MatFileError(
                'neither a DagNN network (net.params) nor a SimpleNN network (layers) is in it; '
                f'it holds {", ".join(sorted(net))}'
            )
    except MatFileError as error:
        raise MatFileError(f'{path}: {error}') from error
    details['source'] = path.name
    return conversion


def _convert_lrr(net: dict, window: int | None, fc_channels: int) -> Conversion:
    values = _dagnn_values(net['params'])
    layout = LrrLayout.of_shapes(
        {usual: _shape(value) for usual, (_, value) in values.items()}, fc_channels
    )
    if layout is None:
        raise MatFileError(
            'no parameter of an LRR network (bases_coef_32xf, deconv_32xf, …) is in it; its '
            f'parameters are {", ".join(name for name, _ in values.values()) or "none at all"}'
        )
    parameters = layout.parameters()
    conversion = Conversion()
    known = {parameter.name for parameter in parameters}
    for usual in [usual for usual in values if usual.startswith('dec_') and usual not in known]:
        name, _ = values.pop(usual)
        conversion.moves.append(f'{name}: no part of LRR, left out')
    _check(values, parameters, str(layout))
    _store(conversion, values, parameters)
    conversion.state_dict['decode_head.bases_loaded'] = torch.tensor(True)

    meta = _fields_or_none(net.get('meta'))
    classes, palette = _classes(meta.get('classes'), layout.num_classes, conversion.warnings)
    conversion.meta = dict(
        lrr=dict(
            num_classes=layout.num_classes,
            num_bases=layout.num_bases,
            levels=list(layout.levels),
            dilation_erosion_levels=list(layout.de_levels),
            mask_window=_mask_window(net.get('layers'), layout, window, conversion.warnings),
            mean=_rgb_mean(meta, conversion.warnings),
            classes=classes,
        ),
        dataset_meta=dict(classes=classes, palette=palette),
    )
    return conversion


def _convert_vgg(net: dict, fc_channels: int) -> Conversion:
    values = _simplenn_values(net['layers'])
    conversion = Conversion()
    for usual in ('fc8f', 'fc8b'):
        if usual in values:
            name, _ = values.pop(usual)
            conversion.moves.append(f'{name}: the classifier, left out')
    parameters = vgg_parameters(fc_channels)
    _check(values, parameters, 'VGG-16')
    _store(conversion, values, parameters)
    meta = _fields_or_none(net.get('meta')) or net
    average = _fields_or_none(meta.get('normalization')).get('averageImage')
    mean = None
    # One colour, or an image of it, according to the file's age.
    if isinstance(average, np.ndarray) and average.ndim == 3 and average.shape[2] == 3:
        mean = average.mean(axis=(0, 1), dtype=np.float64).tolist()
    else:
        conversion.warnings.append('the mean colour (normalization.averageImage) is not in it')
    conversion.meta = dict(vgg=dict(mean=mean, std=[1.0, 1.0, 1.0]))
    return conversion


def _dagnn_values(params: Any) -> dict[str, tuple[str, Any]]:
    """Takes ``net.params`` apart: the name in the file and the value, by the usual name."""
    values: dict[str, tuple[str, Any]] = {}
    twice = []
    if not isinstance(params, StructArray):
        raise MatFileError(f'net.params must be a struct array, got {_describe(params)}')
    for index, element in enumerate(params, start=1):
        name = element.get('name')
        if not isinstance(name, str) or 'value' not in element:
            raise MatFileError(f'net.params({index}) must have a name and a value')
        usual = usual_name(name)
        if usual in values:
            twice.append(f'{values[usual][0]} and {name}')
        # Taken out, so that each array can be given up as soon as it is converted.
        values[usual] = (name, element.pop('value'))
    if twice:
        raise MatFileError(f'the same parameter is in it twice: {"; ".join(twice)}')
    return values


def _simplenn_values(layers: list) -> dict[str, tuple[str, Any]]:
    """Takes a SimpleNN's layers apart, naming the parameters as its conversion to a DagNN would."""
    values: dict[str, tuple[str, Any]] = {}
    for index, layer in enumerate(layers, start=1):
        layer = _fields(layer, f'layers{{{index}}}')
        if layer.get('type') != 'conv':
            continue
        name = layer.get('name')
        if not isinstance(name, str):
            raise MatFileError(f'layers{{{index}}} must have a name, got {_describe(name)}')
        # Files older than ``weights`` have a field each.
        weights = layer.get('weights', [layer.get('filters'), layer.get('biases')])
        if not isinstance(weights, list) or len(weights) != 2:
            raise MatFileError(f'{name}.weights must be a cell of two, got {_describe(weights)}')
        for kind, value in zip('fb', weights, strict=True):
            if name + kind in values:
                raise MatFileError(f'two layers are named {name}')
            values[name + kind] = (f'{name}{kind}', value)
    return values


def _check(values: dict[str, tuple[str, Any]], parameters: list[Parameter], title: str) -> None:
    """Compares what is there with what there should be, and raises for all of it together."""
    expected = {parameter.name: parameter for parameter in parameters}
    missing = [p.name for p in parameters if p.name not in values and p.kind != 'bilinear']
    extra = [name for usual, (name, _) in values.items() if usual not in expected]
    wrong = []
    for usual, (name, value) in values.items():
        parameter = expected.get(usual)
        if parameter is None:
            continue
        if not _is_real(value) or not parameter.fits(value.shape):
            wrong.append(f'{name} is {_describe(value)}, expected single {parameter.shape}')
        elif not np.isfinite(value).all():
            wrong.append(f'{name} holds numbers that are not finite')
    if missing or extra or wrong:
        raise MatFileError(
            '\n'.join(
                [f'the parameters are not those of {title}']
                + [f'  missing: {name}' for name in missing]
                + [f'  extra: {name}' for name in extra]
                + [f'  wrong: {line}' for line in wrong]
            )
        )


def _store(
    conversion: Conversion, values: dict[str, tuple[str, Any]], parameters: list[Parameter]
) -> None:
    """Moves the values into the state dict; what is fixed is compared with what it should be."""
    for parameter in parameters:
        if parameter.name not in values:
            conversion.warnings.append(
                f'{parameter.name} is not in it; the fixed 2x upsampling is taken for granted'
            )
            continue
        name, value = values.pop(parameter.name)
        source = f'{name} {value.shape}'
        if parameter.kind == 'bilinear':
            filters = value.reshape(parameter.shape, order='F')[:, :, 0].T
            if not np.allclose(filters, np.outer(BILINEAR, BILINEAR), rtol=0, atol=1e-6):
                conversion.warnings.append(
                    f'{name} is not the fixed 2x upsampling (.25 .75 .75 .25): scores will differ'
                )
            conversion.moves.append(f'{source}: fixed, compared and left out')
            continue
        tensor = parameter.to_torch(value)
        if parameter.kind == 'de_bases':
            if not torch.equal(tensor, conversion.state_dict[parameter.key]):
                conversion.warnings.append(
                    f"{name} differs from the level's own bases, which stand in for it: further "
                    'training of dilation and erosion will differ, scores will not'
                )
            conversion.moves.append(f"{source}: the level's bases again, compared and left out")
            continue
        conversion.state_dict[parameter.key] = tensor
        conversion.moves.append(f'{source} -> {parameter.key} {tuple(tensor.shape)}')


def _mask_window(
    layers: Any, layout: LrrLayout, window: int | None, warnings: list[str]
) -> int | None:
    """Finds the side of the mask's window: in the layers, else as given, else the usual one."""
    if len(layout.levels) == 1:
        return None
    found = {}
    for layer in layers if isinstance(layers, StructArray) else ():
        name = layer.get('name')
        if isinstance(name, str) and re.match(r'(neg_)?prob_dilate_', name):
            size = _fields(layer.get('block'), f'the block of {name}').get('poolSize')
            if not _is_real(size) or size.size not in (1, 2):
                raise MatFileError(f'{name}: poolSize must be two numbers, got {_describe(size)}')
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


def _rgb_mean(meta: dict, warnings: list[str]) -> list[float] | None:
    # ``averageImage`` lies beside it, which is VGG's own and not what LRR was trained with.
    mean = _fields_or_none(meta.get('normalization')).get('rgbMean')
    if _is_real(mean) and mean.size == 3:
        return mean.ravel().tolist()
    warnings.append('the mean colour (net.meta.normalization.rgbMean) is not in it')
    return None


def _classes(
    value: Any, num_classes: int, warnings: list[str]
) -> tuple[list[str], list[list[int]]]:
    """The class names, and the palette of the data set that has them."""
    # Either the names themselves or a struct that has them.
    if isinstance(value, StructArray):
        value = _fields_or_none(value).get('name')
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


def _fields(value: Any, what: str) -> dict:
    """The fields of a single struct."""
    if not isinstance(value, StructArray) or len(value) != 1:
        hint = ''
        if isinstance(value, Unread):
            hint = '; in MATLAB, save what net.saveobj() returns'
        raise MatFileError(f'{what} must be a struct, got {_describe(value)}{hint}')
    return value[0]


def _fields_or_none(value: Any) -> dict:
    """The fields of a single struct; none for anything else."""
    return value[0] if isinstance(value, StructArray) and len(value) == 1 else {}


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64)


def _shape(value: Any) -> tuple[int, ...]:
    """A value's shape; a vector's, which may lie or stand, as a row."""
    shape = value.shape if isinstance(value, np.ndarray) else (0, 0)
    return (1, *shape[:1]) if len(shape) == 2 and shape[1] == 1 else shape


def _describe(value: Any) -> str:
    """A value's class and size, as MATLAB would say it."""
    if isinstance(value, np.ndarray):
        name = {'float32': 'single', 'float64': 'double'}.get(value.dtype.name, value.dtype.name)
        return f'{name} {value.shape}'
    if isinstance(value, StructArray):
        return f'a struct array of {len(value)}'
    if isinstance(value, list):
        return f'a cell array of {len(value)}'
    if isinstance(value, str):
        return f'the text {value[:40]!r}'
    return 'nothing' if value is None else repr(value)
