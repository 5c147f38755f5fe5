# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' released networks, and the ImageNet network they start from, as checkpoints.

MatConvNet's filters are (height, width, in, out), PyTorch's (out, in, height, width); both
libraries cross-correlate, so nothing is flipped. Names and shapes are those of the authors'
released training code, and of their released Cityscapes network where it spells them otherwise.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np
import torch
from mmseg.utils import get_classes, get_palette
from torch import Tensor

from mmseg_lrr.evaluation.label_png import voc_palette
from mmseg_lrr.files import replacing

from .mat_file import read_mat

#: The pyramid's levels, coarse to fine.
LEVELS = ('32x', '16x', '8x', '4x')
#: Where a level's parts are in a segmentor's state dict, and those of a branch at a level.
COEFFICIENTS = 'decode_head.levels.{}.coefficients'
BASES = 'decode_head.levels.{}.reconstruction.bases'
BRANCH_COEFFICIENTS = 'decode_head.{}.coefficients.{}'
BRANCH_BIAS = 'decode_head.{}.bias.{}'
#: Dilation and erosion: MatConvNet's name of each and the name of the branch here.
BRANCHES = {'dil': 'dilation', 'ero': 'erosion'}
#: Channels of fc6 and fc7 in VGG-16.
FC_CHANNELS = 4096
#: Number of basis functions per class in the released networks.
NUM_BASES = 10
#: The mask's window in the released training code, for networks that do not say theirs.
USUAL_WINDOW = 9
#: How a converted network's config begins. Its base is found wherever the package is installed.
CONFIG_HEAD = '"""Made by tools/model_converters/matconvnet2mmseg.py, as the network needs it."""\n'
#: The fixed filter of the 2x upsampling.
BILINEAR = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])

#: Channels and number of VGG-16's convolutions before each max pooling.
VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_FEATURE_CHANNELS = {'16x': 512, '8x': 512, '4x': 256}

# Every spelling of a name, each with the one that the released training code writes.
_SPELLINGS = (
    (r'bases_coef_(32|16|8|4)[xs]([fb])', r'bases_coef_\1x\2'),
    (r'deconv_(32|16|8|4)[xs]f', r'deconv_\1xf'),
    (r'(dil|ero)_(?:seg|mask)(32|16|8|4)[xs]_coef([fb])', r'\1_seg\2x_coef\3'),
    (r'(dil|ero)_(?:seg|mask)_deconv_?32[xs]([fb])', r'\1_seg_deconv_32x\2'),
    (r'(dil|ero)_(?:seg|mask)_deconv_?(16|8|4)[xs](?:_add)?([fb])', r'\1_seg_deconv_\2x_add\3'),
    (r'dec_prediction_(32|16|8)[xs]_bil_x2f', r'dec_prediction_\1x_bil_x2f'),
    (r'dec_(dil|ero)_(?:seg|mask)(32|16|8)[xs]_bil_x2f', r'dec_\1_seg\2x_bil_x2f'),
)
# Whose class names stand in for names that a file lacks, by the number of classes.
_DATASETS = {21: 'voc', 19: 'cityscapes'}
# The configs of the released networks, by the number of classes; other networks get the first.
_CONFIGS = {21: 'lrr4x_vgg16_coco-voc_released', 19: 'lrr4x_vgg16_cityscapes_released'}


@dataclass(frozen=True)
class Parameter:
    """What a parameter is in both worlds.

    Args:
        name: MatConvNet's name, as the released training code spells it.
        shape: Its shape in MatConvNet, (h, w, in, out), or (1, out) of a bias.
        torch_shape: Its shape in the state dict.
        key: Its name in a segmentor's state dict; empty for a fixed 2x upsampling.
        copy: Whether it repeats a level's bases, for dilation or erosion.
    """

    name: str
    shape: tuple[int, ...]
    torch_shape: tuple[int, ...] = ()
    key: str = ''
    copy: bool = False

    @property
    def stored(self) -> bool:
        """Whether the parameter has a place of its own in the state dict."""
        return bool(self.key) and not self.copy

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a MATLAB array is this parameter; biases lie or stand, last axes of 1 lack."""
        return [n for n in shape if n != 1] == [n for n in self.shape if n != 1]

    def to_torch(self, value: np.ndarray) -> Tensor:
        """Turn MatConvNet's array into the state dict's tensor, float32."""
        if len(self.shape) == 2:
            array = value
        else:
            array = value.reshape(self.shape, order='F').transpose(3, 2, 0, 1)
        return torch.from_numpy(np.array(array, np.float32, order='C')).reshape(self.torch_shape)

    def to_matconvnet(self, value: Tensor) -> np.ndarray:
        """Turn the state dict's tensor into MatConvNet's array, single precision."""
        array = value.float().numpy()
        if len(self.shape) == 2:
            return array.reshape(self.shape)
        height, width, inputs, outputs = self.shape
        return array.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)


def usual_name(name: str) -> str:
    """Return a parameter's name as the released training code spells it.

    The released files mix it with an older spelling, parameter by parameter, so each name is read
    alone. A name that is no LRR parameter's comes back as it is.
    """
    for pattern, usual in _SPELLINGS:
        if match := re.fullmatch(pattern, name):
            return match.expand(usual)
    return name


def vgg_parameters(fc_channels: int = FC_CHANNELS) -> list[Parameter]:
    """List the parameters of VGG-16 without fc8, in the network's order."""
    parameters, inputs, place = [], 3, 0
    for stage, (outputs, convolutions) in enumerate(VGG_STAGES, start=1):
        for i in range(1, convolutions + 1):
            key = f'backbone.features.{place}.conv'
            parameters += _convolution(f'conv{stage}_{i}', key, 3, inputs, outputs)
            inputs, place = outputs, place + 1
        place += 1  # the pooling
    parameters += _convolution('fc6', 'backbone.fc6.conv', 7, inputs, fc_channels)
    return parameters + _convolution('fc7', 'backbone.fc7.conv', 1, fc_channels, fc_channels)


def _convolution(name: str, key: str, kernel: int, inputs: int, outputs: int) -> list[Parameter]:
    shape, torch_shape = (kernel, kernel, inputs, outputs), (outputs, inputs, kernel, kernel)
    return [
        Parameter(f'{name}f', shape, torch_shape, f'{key}.weight'),
        Parameter(f'{name}b', (1, outputs), (outputs,), f'{key}.bias'),
    ]


@dataclass(frozen=True, kw_only=True)
class LrrLayout:
    """What an LRR network on VGG-16 consists of.

    Args:
        num_classes: Number of classes, C.
        num_bases: Number of basis functions per class, K.
        levels: Levels, coarse to fine, from 32x.
        de_levels: Levels with dilation and erosion, from 32x; may be empty.
        fc_channels: Channels of fc6 and fc7.
    """

    num_classes: int
    num_bases: int = NUM_BASES
    levels: tuple[str, ...] = LEVELS
    de_levels: tuple[str, ...] = ('32x',)
    fc_channels: int = FC_CHANNELS

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]], fc_channels: int) -> 'LrrLayout':
        """Find the layout of parameters, from their shapes by their usual names.

        The number of classes stands in the branches' biases and in the bilinear filters. Without
        any of them, K is taken for the released networks' 10.
        """

        def down_to(pattern: str) -> tuple[str, ...]:
            matches = [re.match(pattern.format('|'.join(LEVELS)), name) for name in shapes]
            return LEVELS[: max((LEVELS.index(m[1]) + 1 for m in matches if m), default=0)]

        maps = max(shapes['bases_coef_32xb'])
        classes = (
            max(shape) if name.endswith('b') else shape[-1]
            for name, shape in shapes.items()
            if re.fullmatch(r'(dil|ero)_seg_deconv_.*b|dec_.*_bil_x2f', name)
        )
        num_classes = next(classes, maps // NUM_BASES)
        return cls(
            num_classes=num_classes,
            num_bases=maps // num_classes,
            levels=down_to('bases_coef_({})'),
            de_levels=down_to('(?:dil|ero)_seg({})_coef'),
            fc_channels=fc_channels,
        )

    def parameters(self) -> list[Parameter]:
        """List the network's parameters, in its order."""
        parameters = vgg_parameters(self.fc_channels)
        maps = self.num_classes * self.num_bases
        shapes = (8, 8, 1, maps), (self.num_classes, self.num_bases, 8, 8)
        bilinear = (4, 4, 1, self.num_classes)
        for coarser, level in zip((None, *self.levels), self.levels, strict=False):
            channels = _FEATURE_CHANNELS.get(level, self.fc_channels)
            key, bases = COEFFICIENTS.format(level), BASES.format(level)
            parameters += _convolution(f'bases_coef_{level}', key, 5, channels, maps)
            parameters.append(Parameter(f'deconv_{level}f', *shapes, bases))
            if coarser:
                parameters.append(Parameter(f'dec_prediction_{coarser}_bil_x2f', bilinear))
            for short, branch in BRANCHES.items() if level in self.de_levels else ():
                key = BRANCH_COEFFICIENTS.format(branch, level)
                parameters += _convolution(f'{short}_seg{level}_coef', key, 5, channels, maps)
                deconv = f'{short}_seg_deconv_{level}' + ('_add' if coarser else '')
                key = BRANCH_BIAS.format(branch, level)
                parameters += [
                    Parameter(f'{deconv}f', *shapes, bases, copy=True),
                    Parameter(f'{deconv}b', (1, self.num_classes), (self.num_classes,), key),
                ]
                if coarser:
                    parameters.append(Parameter(f'dec_{short}_seg{coarser}_bil_x2f', bilinear))
        return parameters


@dataclass
class Conversion:
    """A network read from a MatConvNet file.

    Args:
        state_dict: Weights under a segmentor's names, float32.
        meta: The checkpoint's meta: ``dataset_meta`` (classes and palette) and ``lrr`` or,
            for the ImageNet network, ``vgg``: what the weights need and where they come from.
        moves: What went where, one line per parameter.
        warnings: What the user should know.
    """

    state_dict: dict[str, Tensor] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Write the checkpoint, whole or not at all."""
        with replacing(path) as temporary:
            torch.save(dict(meta=self.meta, state_dict=self.state_dict), temporary)

    def config(self) -> str:
        """Return the text of a config for an LRR network: a released one's, with what it says."""
        network = self.meta['lrr']
        levels, window = network['levels'][::-1], network['mask_window']
        model = dict(decode_head=dict(
            num_classes=network['num_classes'],
            num_bases=network['num_bases'],
            in_channels=[_FEATURE_CHANNELS.get(level, FC_CHANNELS) for level in levels],
            in_index=[LEVELS[::-1].index(level) for level in levels],
            boundary_mask=window and dict(window=window),
            # All that MatConvNet's transposed convolution can do.
            upsample_border='zeros'))
        if network['mean']:
            model['data_preprocessor'] = dict(mean=network['mean'], std=[1.0, 1.0, 1.0])
        base = _CONFIGS.get(network['num_classes'], _CONFIGS[21])
        return (f"{CONFIG_HEAD}_base_ = __import__('mmseg_lrr').get_config('{base}').filename\n"
                f'model = {pformat(model, sort_dicts=False)}\n')


def from_matconvnet(
    path: str | os.PathLike, *, window: int | None = None, fc_channels: int = FC_CHANNELS
) -> Conversion:
    """Read a MatConvNet network: a released LRR network, or ImageNet's VGG-16.

    Which it is, is found in the file: a DagNN with parameters, or a SimpleNN, a cell array of
    layers. Of an LRR network the number of classes, the levels and the dilation and erosion
    branch are found from its parameters, and the mask window from its layers.

    Args:
        path: The ``.mat`` file, of version 7 or 7.3.
        window: The side of the mask's window in pixels of the masked map, for a
            file that does not say it. Defaults to the released training code's 9, with a
            warning.
        fc_channels: Channels of fc6 and fc7. Defaults to VGG-16's 4096.

    Returns:
        Conversion: Weights, meta, and what is to be told.

    Raises:
        ValueError: If the file holds no such network. Missing, extra and wrong parameters are
            listed together.
    """
    variables = read_mat(path, ('net', 'layers', 'meta', 'normalization'))
    net = variables['net'][0] if 'net' in variables else variables
    if 'params' in net:
        conversion = _from_dagnn(net, window, fc_channels)
    elif 'layers' in net:
        conversion = _from_simplenn(net, fc_channels)
    else:
        raise ValueError(
            f'{path} holds neither a DagNN network (net.params) nor a SimpleNN network (layers); '
            'in MATLAB, save what net.saveobj() returns'
        )
    conversion.meta['lrr' if 'params' in net else 'vgg']['source'] = Path(path).name
    return conversion


def _from_dagnn(net: dict[str, Any], window: int | None, fc_channels: int) -> Conversion:
    conversion = Conversion()
    values: dict[str, tuple[str, np.ndarray]] = {}
    for parameter in net['params']:
        name = usual_name(parameter['name'])
        if name in values:
            raise ValueError(f'{values[name][0]} and {parameter["name"]} are the same parameter')
        # Taken out, so that each array can be given up as soon as it is converted.
        values[name] = (parameter['name'], parameter.pop('value'))
    if 'bases_coef_32xb' not in values:
        raise ValueError('the network has no bases_coef_32xb: so it is not an LRR network')
    layout = LrrLayout.of_shapes({name: v.shape for name, (_, v) in values.items()}, fc_channels)
    parameters = layout.parameters()
    known = {parameter.name for parameter in parameters}
    for name in [name for name in values if name.startswith('dec_') and name not in known]:
        conversion.moves.append(f'{values.pop(name)[0]}: no part of LRR, left out')
    _store(conversion, values, parameters)
    conversion.state_dict['decode_head.bases_loaded'] = torch.tensor(True)
    if len(layout.levels) == 1:
        window = None
    else:
        window = _mask_window(net.get('layers', []), window, conversion.warnings)
    meta = _struct(net.get('meta'))
    # Not VGG's own ``averageImage``, which lies beside it.
    mean = _struct(meta.get('normalization')).get('rgbMean')
    if mean is None:
        conversion.warnings.append(
            'the mean colour (net.meta.normalization.rgbMean) is not in it; the config written has '
            "its base's")
    classes, palette = _classes(meta.get('classes'), layout.num_classes, conversion.warnings)
    conversion.meta = dict(
        lrr=dict(
            num_classes=layout.num_classes,
            num_bases=layout.num_bases,
            levels=list(layout.levels),
            dilation_erosion_levels=list(layout.de_levels),
            mask_window=window,
            mean=None if mean is None else mean.ravel().tolist(),
            classes=classes,
        ),
        dataset_meta=dict(classes=classes, palette=palette),
    )
    return conversion


def _from_simplenn(net: dict[str, Any], fc_channels: int) -> Conversion:
    conversion = Conversion()
    values = {}
    for (layer,) in net['layers']:
        if layer['type'] == 'conv':
            # Files older than ``weights`` have a field each.
            weights = layer.get('weights') or [layer['filters'], layer['biases']]
            for kind, value in zip('fb', weights, strict=True):
                values[layer['name'] + kind] = (layer['name'] + kind, value)
    for name in ('fc8f', 'fc8b'):
        if values.pop(name, None):
            conversion.moves.append(f'{name}: the classifier, left out')
    _store(conversion, values, vgg_parameters(fc_channels))
    # One colour, or an image of it, according to the file's age.
    meta = _struct(net['meta']) if 'meta' in net else net
    mean = _struct(meta.get('normalization')).get('averageImage')
    if mean is None:
        conversion.warnings.append('the mean colour (normalization.averageImage) is not in it')
    else:
        mean = mean.mean(axis=(0, 1), dtype=np.float64).tolist()
    conversion.meta = dict(vgg=dict(mean=mean, std=[1.0, 1.0, 1.0]))
    return conversion


def _struct(value: Any) -> dict[str, Any]:
    """Return a single struct's fields; none of anything else."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _store(conversion: Conversion, values: dict, parameters: list[Parameter]) -> None:
    """Move values, with their names in the file, into the state dict; compare what is fixed."""
    expected = {parameter.name: parameter for parameter in parameters}
    problems = [f'missing: {n}' for n, p in expected.items() if p.key and n not in values]
    for usual, (name, value) in values.items():
        if usual not in expected:
            problems.append(f'extra: {name}')
        elif not expected[usual].fits(value.shape):
            problems.append(f'wrong: {name} is {value.shape}, expected {expected[usual].shape}')
    if problems:
        raise ValueError('\n  '.join(['the parameters are not those of the network:', *problems]))
    for parameter in parameters:
        if parameter.name not in values:
            conversion.warnings.append(
                f'{parameter.name} is not in it; the fixed 2x upsampling is assumed'
            )
            continue
        name, value = values.pop(parameter.name)
        source = f'{name} {value.shape}'
        if not parameter.key:
            filters = value.reshape(parameter.shape, order='F')[:, :, 0].T
            if not np.allclose(filters, BILINEAR, rtol=0, atol=1e-6):
                conversion.warnings.append(
                    f'{name} is not the fixed 2x upsampling (.25 .75 .75 .25): scores will differ'
                )
            conversion.moves.append(f'{source}: fixed, compared and left out')
            continue
        tensor = parameter.to_torch(value)
        if parameter.copy:
            if not torch.equal(tensor, conversion.state_dict[parameter.key]):
                conversion.warnings.append(
                    f"{name} differs from the level's own bases, which stand in for it: further "
                    'training of dilation and erosion will differ, scores will not'
                )
            conversion.moves.append(f"{source}: the level's bases again, compared and left out")
            continue
        conversion.state_dict[parameter.key] = tensor
        conversion.moves.append(f'{source} -> {parameter.key} {tuple(tensor.shape)}')


def _mask_window(layers: list[dict], window: int | None, warnings: list[str]) -> int:
    """Find the side of the mask's window: in the layers, else as given, else the usual one."""
    sizes = {
        int(side)
        for layer in layers
        if re.match('(neg_)?prob_dilate_', layer['name'])
        for side in layer['block'][0]['poolSize'].ravel()
    }
    if len(sizes) > 1:
        raise ValueError(f'the mask windows must all be one square, got sides {sorted(sizes)}')
    if sizes:
        in_file = sizes.pop()
        if window not in (None, in_file):
            warnings.append(f'the mask window in the file, {in_file}, overrides the {window} given')
        return in_file
    if window is None:
        warnings.append(
            f'the mask window is not in the file (no layer prob_dilate_*): assuming {USUAL_WINDOW}'
        )
    return window or USUAL_WINDOW


def _classes(
    value: Any, num_classes: int, warnings: list[str]
) -> tuple[list[str], list[list[int]]]:
    """Return every class's name and the palette of the data set that has them.

    ``value`` is ``net.meta.classes``: names with or without the background, or a struct of them.
    """
    names = _struct(value).get('name', value)
    names = names if isinstance(names, list) else []
    if len(names) == num_classes - 1 and 'background' not in names:
        names = ['background', *names]
    dataset = _DATASETS.get(num_classes)
    if len(names) != num_classes:
        warnings.append(
            f'{len(names)} class names (net.meta.classes) for {num_classes} classes: '
            f'using {dataset or "numbers"} instead'
        )
        names = get_classes(dataset) if dataset else [str(i) for i in range(num_classes)]
    if dataset and names == get_classes(dataset):
        return names, get_palette(dataset)
    return names, voc_palette()[:num_classes].tolist()
