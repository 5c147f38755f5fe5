# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""An LRR checkpoint as a MatConvNet network of the released layout."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from ..ops import checks
from ..ops.weights import describe_weight
from .config_check import bare_model
from .dagnn_layers import dagnn_layers
from .mat_file import write_mat
from .matconvnet import BILINEAR, LEVELS, USUAL_WINDOW, LrrLayout, Parameter

# Learning rates of the released training code, relative to VGG's filters (spec section 4).
_COEFFICIENT_RATES = {'32x': 0.1, '16x': 0.1 / 2, '8x': 0.1 / 8, '4x': 0.1 / 512}
_BIAS_RATE = 2.0
# Parts of a segmentor that are not the network itself.
_LEFT_OUT = ('data_preprocessor.', 'auxiliary_head.', 'decode_head.bases_loaded')


@dataclass
class Export:
    """A network on its way to a MatConvNet file.

    Args:
        net (dict): The struct ``net`` as ``scipy.io.savemat`` takes it.
        moves (list[str]): What went where, one line a parameter.
        warnings (list[str]): What the user should know.
    """

    net: dict[str, Any] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the ``.mat`` file, version 7, whole or not at all."""
        write_mat(path, {'net': self.net})


def export(
    path: str | os.PathLike,
    *,
    config: Config | None = None,
    window: int | None = None,
    mean: Sequence[float] | None = None,
) -> Export:
    """Turns an LRR checkpoint on ``VGG16FC`` into a MatConvNet network of the released layout.

    MatConvNet's network subtracts a mean colour from an RGB image and divides by nothing: the
    standard deviation that a config divides by is folded into the first convolution.

    Args:
        path (str or PathLike): A checkpoint of an ``EncoderDecoder``, trained or converted.
        config (Config, optional): The config of the checkpoint: its mean, standard deviation,
            mask window. A converted checkpoint brings all of this itself.
        window (int, optional): The side of the mask's window, before what the config and the
            checkpoint say. Without any of them, 9 with a warning.
        mean (Sequence[float], optional): The mean colour (R, G, B), 0 to 255, likewise.

    Returns:
        Export: The network, and what is to be told.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, the network is none of the released layout
            (missing, extra and wrong weights are listed together), or its window, mean colour or
            class names are not known or none.
        TypeError: If window or mean are not numbers.
    """
    checkpoint = _load(path)
    weights = _part(path, checkpoint, 'state_dict', checkpoint)
    meta = _part(path, checkpoint, 'meta', {})
    known = _part(path, meta, 'lrr', {})
    layout = _find_layout(weights)
    names = _class_names(path, meta, layout.num_classes)
    parameters = layout.parameters()
    _check(weights, parameters, layout)
    result = Export()
    if window is not None:
        checks.odd('window', window, 3)
    if config is not None:
        settings = _config_settings(config, result.warnings)
        settings['window'] = window or settings['window']
    else:
        if window is None and known.get('mask_window') is not None:
            window = checks.odd(f'lrr.mask_window of {path}', known['mask_window'], 3)
        if window is None and len(layout.levels) > 1:
            result.warnings.append(f'the mask window is not known: {USUAL_WINDOW} is written')
            window = USUAL_WINDOW
        settings = dict(mean=known.get('mean'), std=(1.0, 1.0, 1.0), window=window)
    if mean is not None:
        settings['mean'] = mean
    settings['mean'] = _mean_colour(settings['mean'])
    values = {}
    for parameter in parameters:
        value = _value(parameter, weights, settings['std'])
        values[parameter.name] = value
        source = parameter.key or 'the fixed 2x upsampling'
        result.moves.append(f'{source} -> {parameter.name} {value.shape}')
    result.net = _net(layout, values, settings, names)
    return result


def _load(path: str | os.PathLike) -> dict[str, Any]:
    try:
        # A checkpoint is somebody's file, and nothing in it is executed.
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{path} cannot be read as a checkpoint ({type(error).__name__}: {error})'
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f'{path} must hold a dictionary, got {type(checkpoint).__name__}')
    return dict(checkpoint)


def _part(path: str | os.PathLike, whole: Mapping, name: str, absent: Mapping) -> Mapping:
    """Returns a dictionary of the checkpoint by its name; ``absent`` where there is none."""
    part = whole.get(name, absent)
    if not isinstance(part, Mapping):
        raise ValueError(f'{name} of {path} must be a dictionary, got {type(part).__name__}')
    return part


def _class_names(path: str | os.PathLike, meta: Mapping, num_classes: int) -> list[str]:
    names = _part(path, meta, 'dataset_meta', {}).get('classes')
    if names is None:
        return [str(number) for number in range(num_classes)]
    if not isinstance(names, list | tuple) or len(names) != num_classes:
        raise ValueError(
            f'dataset_meta.classes of {path} must be a list of {num_classes} names, got {names!r}'
        )
    return [str(name) for name in names]


def _mean_colour(mean: Any) -> tuple[float, ...]:
    mean = mean.tolist() if isinstance(mean, np.ndarray) else mean
    if not isinstance(mean, list | tuple) or len(mean) != 3:
        raise ValueError(
            f'the mean colour must be three numbers, R, G and B, got {mean!r}; give --config or '
            '--mean'
        )
    return tuple(checks.number(f'mean[{i}]', part, 0, maximum=255) for i, part in enumerate(mean))


def _find_layout(weights: Mapping[str, Tensor]) -> LrrLayout:
    def levels_of(pattern: str) -> tuple[str, ...]:
        found = {match[1] for match in (re.fullmatch(pattern, key) for key in weights) if match}
        return tuple(level for level in LEVELS if level in found)

    def has_axes(value: Any, axes: int) -> bool:
        return isinstance(value, Tensor) and value.ndim == axes and 0 not in value.shape

    for key in weights:
        if not isinstance(key, str):
            raise ValueError(f'weights must be named by text, got {key!r}')
    bases = weights.get('decode_head.reconstructions.32x.bases')
    fc7 = weights.get('backbone.fc7.conv.bias')
    if not has_axes(bases, 4) or not has_axes(fc7, 1):
        raise ValueError(
            'this is no LRRHead on VGG16FC: it must have decode_head.reconstructions.32x.bases, '
            'of four axes, and backbone.fc7.conv.bias, of one'
        )
    return LrrLayout(
        num_classes=bases.shape[0],
        num_bases=bases.shape[1],
        levels=levels_of(r'decode_head\.coefficients\.(\d+x)\.weight'),
        de_levels=levels_of(r'decode_head\.(?:dilation|erosion)\.bias\.(\d+x)'),
        fc_channels=len(fc7),
    )


def _check(weights: Mapping[str, Tensor], parameters: list[Parameter], layout: LrrLayout) -> None:
    expected = {p.key: p.torch_shape for p in parameters if p.stored}
    problems = [f'  missing: {key}' for key in expected if key not in weights]
    for key, value in weights.items():
        if key in expected:
            got = describe_weight(value, expected[key])
            if got != str(expected[key]):
                problems.append(f'  wrong: {key} is {got}, expected {expected[key]}')
        elif not key.startswith(_LEFT_OUT):
            problems.append(f'  extra: {key}')
    if problems:
        raise ValueError(
            '\n'.join([f'the weights are not those of {layout} as released', *problems])
        )


def _config_settings(config: Config, warnings: list[str]) -> dict[str, Any]:
    """Finds ``mean`` and ``std`` of the input and ``window`` of the mask (None: no mask)."""
    preprocessor = config.model.get('data_preprocessor') or {}
    if not preprocessor.get('bgr_to_rgb', False):
        raise ValueError('data_preprocessor.bgr_to_rgb must be True: the layout is for RGB images')
    head = bare_model(config).decode_head
    windows = {mask.window for mask in head.masks.values()}
    if len(windows) > 1:
        raise ValueError(f'the mask windows must be the same at every level, got {windows}')
    if any(upsample.border != 'zeros' for upsample in head.upsamples.values()):
        warnings.append(
            "upsample_border is not 'zeros', which is all that MatConvNet's network can do: "
            'scores near the border will differ'
        )
    return dict(
        mean=preprocessor.get('mean'),
        std=checks.numbers(
            'std', preprocessor.get('std') or (1.0, 1.0, 1.0), (3, ), 0, inclusive=False
        ),
        window=windows.pop() if windows else None,
    )


def _value(
    parameter: Parameter, weights: Mapping[str, Tensor], std: Sequence[float]
) -> np.ndarray:
    if parameter.kind == 'bilinear':
        filters = np.empty(parameter.shape, np.float32)
        filters[:] = np.outer(BILINEAR, BILINEAR)[:, :, None, None]
        return filters
    value = weights[parameter.key]
    if parameter.name == 'conv1_1f' and any(deviation != 1 for deviation in std):
        # (x - mean) / std, filtered, is x - mean, filtered by the filter / std.
        value = (value.double() / torch.tensor(std).double().view(1, 3, 1, 1)).float()
    return parameter.to_matconvnet(value)


def _net(
    layout: LrrLayout,
    values: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Puts the struct together as ``DagNN.saveobj`` writes it."""
    shapes = {name: value.shape for name, value in values.items()}
    layers = dagnn_layers(layout, shapes, settings['window'])
    variables = dict.fromkeys(
        name for layer in layers for name in [*layer['inputs'], *layer['outputs']]
    )
    return dict(
        vars=_struct_array([dict(name=name, precious=False) for name in variables]),
        params=_struct_array(
            [
                dict(name=name, value=value, learningRate=_learning_rate(name), weightDecay=1.0)
                for name, value in values.items()
            ]
        ),
        layers=_struct_array([_layer(layer) for layer in layers]),
        meta=dict(
            normalization=dict(rgbMean=np.array(settings['mean'], np.float32).reshape(3, 1)),
            classes=_cell(classes),
        ),
    )


def _learning_rate(name: str) -> float:
    if re.search(r'deconv_.*f$|_bil_x2f$', name):
        return 0.0
    if name.endswith('b'):
        return _BIAS_RATE
    level = re.search(r'(\d+x)', name)
    return _COEFFICIENT_RATES[level[1]] if level else 1.0


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    lists = {name: _cell(layer[name]) for name in ('inputs', 'outputs', 'params')}
    return {**layer, **lists, 'block': {k: _option(v) for k, v in layer['block'].items()}}


def _option(value: Any) -> Any:
    """A layer's option as MATLAB would hold it: numbers are double."""
    if isinstance(value, list):
        return _cell(value) if isinstance(value[0], str) else np.array(value, np.float64)
    return value if isinstance(value, bool | str) else float(value)


def _cell(values: Sequence[Any]) -> np.ndarray:
    cell = np.empty((1, len(values)), object)
    cell[0, :] = list(values)
    return cell


def _struct_array(elements: Sequence[dict[str, Any]]) -> np.ndarray:
    array = np.empty((1, len(elements)), [(name, object) for name in elements[0]])
    for place, element in enumerate(elements):
        for name, value in element.items():
            array[name][0, place] = value
    return array
