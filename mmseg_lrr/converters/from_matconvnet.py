# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' released networks, and the ImageNet network they start from, as checkpoints."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..ops import checks
from ..replacing import replacing
from .mat_file import read_mat
from .mat_values import MatFileError, StructArray, describe, fields, fields_or_none, is_real
from .matconvnet import (
    BILINEAR,
    FC_CHANNELS,
    LrrLayout,
    Parameter,
    usual_name,
    vgg_parameters,
)
from .network_meta import class_names, mask_window, rgb_mean


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
        # Through memory: where a file cannot grow, torch does not say why.
        buffer = io.BytesIO()
        torch.save(dict(meta=self.meta, state_dict=self.state_dict), buffer)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


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
        checks.odd('window', window, 3)
    path = Path(path)
    variables = read_mat(path, ('net', 'layers', 'meta', 'normalization', 'classes'))
    try:
        net = fields(variables.pop('net'), 'net') if 'net' in variables else variables
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

    meta = fields_or_none(net.get('meta'))
    classes, palette = class_names(meta.get('classes'), layout.num_classes, conversion.warnings)
    conversion.meta = dict(
        lrr=dict(
            num_classes=layout.num_classes,
            num_bases=layout.num_bases,
            levels=list(layout.levels),
            dilation_erosion_levels=list(layout.de_levels),
            mask_window=mask_window(net.get('layers'), layout, window, conversion.warnings),
            mean=rgb_mean(meta, conversion.warnings),
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
    meta = fields_or_none(net.get('meta')) or net
    average = fields_or_none(meta.get('normalization')).get('averageImage')
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
        raise MatFileError(f'net.params must be a struct array, got {describe(params)}')
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
        layer = fields(layer, f'layers{{{index}}}')
        kind = layer.get('type')
        if not isinstance(kind, str):
            raise MatFileError(f'layers{{{index}}} must have a type, got {describe(kind)}')
        if kind != 'conv':
            continue
        name = layer.get('name')
        if not isinstance(name, str):
            raise MatFileError(f'layers{{{index}}} must have a name, got {describe(name)}')
        # Files older than ``weights`` have a field each.
        weights = layer.get('weights', [layer.get('filters'), layer.get('biases')])
        if not isinstance(weights, list) or len(weights) != 2:
            raise MatFileError(f'{name}.weights must be a cell of two, got {describe(weights)}')
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
        if not is_real(value) or not parameter.fits(value.shape):
            wrong.append(f'{name} is {describe(value)}, expected single {parameter.shape}')
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


def _shape(value: Any) -> tuple[int, ...]:
    """A value's shape; a vector's, which may lie or stand, as a row."""
    shape = value.shape if isinstance(value, np.ndarray) else (0, 0)
    return (1, *shape[:1]) if len(shape) == 2 and shape[1] == 1 else shape
