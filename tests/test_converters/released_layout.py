# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files of the layout that the authors released, with random weights.

Written from the layout's description alone; nothing here uses the package's converters.
Parameters are kept under the names that the released training code makes (``usual``); a file may
spell them otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

LEVELS = ('32x', '16x', '8x', '4x')
RGB_MEAN = np.array([[73.16520], [82.92064], [72.40804]], np.float32)
VGG = (
    ('conv1_1', 3, 3, 64), ('conv1_2', 3, 64, 64),
    ('conv2_1', 3, 64, 128), ('conv2_2', 3, 128, 128),
    ('conv3_1', 3, 128, 256), ('conv3_2', 3, 256, 256), ('conv3_3', 3, 256, 256),
    ('conv4_1', 3, 256, 512), ('conv4_2', 3, 512, 512), ('conv4_3', 3, 512, 512),
    ('conv5_1', 3, 512, 512), ('conv5_2', 3, 512, 512), ('conv5_3', 3, 512, 512),
)  # fmt: skip
# How the released Cityscapes file spells what it does not spell in the usual way.
CITYSCAPES_SPELLING = {
    'bases_coef_16xf': 'bases_coef_16sf',
    'dil_seg_deconv_32xb': 'dil_mask_deconv32sb',
    'ero_seg32x_coeff': 'ero_mask32s_coeff',
    'ero_seg_deconv_32xb': 'ero_mask_deconv32sb',
}
# The other way round: what is usual there is old here.
OTHER_SPELLING = {
    'bases_coef_16xb': 'bases_coef_16sb',
    'bases_coef_32xf': 'bases_coef_32sf',
    'bases_coef_4xb': 'bases_coef_4sb',
    'dil_seg32x_coeff': 'dil_mask32s_coeff',
    'dil_seg32x_coefb': 'dil_mask32s_coefb',
    'ero_seg32x_coefb': 'ero_mask32s_coefb',
    'dil_seg_deconv_32xf': 'dil_mask_deconv32sf',
    'ero_seg_deconv_32xf': 'ero_mask_deconv32sf',
}


class Struct(list):
    """A MATLAB struct array: a list of dictionaries."""


class Cell(list):
    """A MATLAB cell array, one row."""


def random_params(
    seed: int,
    *,
    num_classes: int,
    num_bases: int = 10,
    fc_channels: int = 4096,
    levels: tuple[str, ...] = LEVELS,
    de_levels: tuple[str, ...] = ('32x',),
    hollow_vgg: bool = False,
) -> dict[str, np.ndarray]:
    """Random weights by usual name, scaled so that features and scores are of size 1.

    With ``hollow_vgg``, VGG-16's convolutions are zeros that need no time and no memory.
    """
    rng = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        # MATLAB's order of elements.
        array = rng.standard_normal(shape[::-1], np.float32)
        array *= np.float32(scale)
        return array.T

    def convolution(name: str, size: int, inputs: int, outputs: int, gain: float) -> dict:
        return {
            name + 'f': normal((gain / (size * size * inputs)) ** 0.5, size, size, inputs, outputs),
            name + 'b': normal(0.1, 1, outputs),
        }

    params = {}
    for name, size, inputs, outputs in VGG:
        if hollow_vgg:
            params[name + 'f'] = np.broadcast_to(np.float32(0), (size, size, inputs, outputs))
            params[name + 'b'] = np.broadcast_to(np.float32(0), (1, outputs))
        else:
            params |= convolution(name, size, inputs, outputs, 2.0)
    # The image's own size.
    params['conv1_1f'] = params['conv1_1f'] / np.float32(70)
    params |= convolution('fc6', 7, 512, fc_channels, 2.0)
    params |= convolution('fc7', 1, fc_channels, fc_channels, 2.0)
    maps = num_classes * num_bases
    line = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    bilinear = np.repeat(np.outer(line, line)[:, :, None, None], num_classes, axis=3)
    coarser = None
    for level in levels:
        channels = {'32x': fc_channels, '4x': 256}.get(level, 512)
        params |= convolution(f'bases_coef_{level}', 5, channels, maps, 1.0)
        # The four levels' bases differ, as they may.
        params[f'deconv_{level}f'] = normal(0.3, 8, 8, 1, maps)
        if coarser:
            params[f'dec_prediction_{coarser}_bil_x2f'] = bilinear
        for branch in ('dil', 'ero') if level in de_levels else ():
            deconv = f'{branch}_seg_deconv_{level}' + ('_add' if coarser else '')
            params |= convolution(f'{branch}_seg{level}_coef', 5, channels, maps, 1.0)
            params[deconv + 'f'] = params[f'deconv_{level}f']
            params[deconv + 'b'] = normal(1.0, 1, num_classes)
            if coarser:
                params[f'dec_{branch}_seg{coarser}_bil_x2f'] = bilinear
        coarser = level
    return params


def make_net(
    params: dict[str, np.ndarray],
    *,
    spelling: dict[str, str] | None = None,
    window: int | None = None,
    classes: list[str] | None = None,
) -> dict[str, object]:
    """The struct ``net``; with ``window``, ``net.layers`` is there too."""
    spelling = spelling or {}
    net: dict[str, object] = {
        'vars': Struct([{'name': 'input', 'precious': False}, {'name': 'x1', 'precious': False}]),
        'params': Struct(
            [
                {
                    'name': spelling.get(name, name),
                    'value': value,
                    'learningRate': 2.0 if name.endswith('b') else 1.0,
                    'weightDecay': 1.0,
                }
                for name, value in params.items()
            ]
        ),
        'meta': Struct(
            [
                {
                    'normalization': Struct(
                        [
                            {
                                # VGG's own, which LRR does not use.
                                'averageImage': np.full((1, 1, 3), 120, np.float32),
                                'rgbMean': RGB_MEAN,
                                'imageSize': np.array([[224.0, 224.0, 3.0]]),
                            }
                        ]
                    ),
                    'classes': Cell(classes or []),
                }
            ]
        ),
    }
    if window is not None:
        net['layers'] = Struct(
            [
                {
                    'name': 'conv1_1',
                    'type': 'dagnn.Conv',
                    'inputs': Cell(['input']),
                    'outputs': Cell(['x1']),
                    'params': Cell(['conv1_1f', 'conv1_1b']),
                    'block': Struct([{'hasBias': True, 'pad': np.full((1, 4), 1.0)}]),
                },
                {
                    'name': 'pool1',
                    'type': 'dagnn.Pooling',
                    'inputs': Cell(['x4']),
                    'outputs': Cell(['x5']),
                    'params': Cell([]),
                    'block': Struct([{'poolSize': np.full((1, 2), 2.0)}]),
                },
                *(_pooling(sign, level, window) for level in LEVELS[:3] for sign in ('', 'neg_')),
            ]
        )
    return net


def _pooling(sign: str, level: str, window: int) -> dict[str, object]:
    return {
        'name': f'{sign}prob_dilate_{level}',
        'type': 'dagnn.Pooling',
        'inputs': Cell([f'{sign}prob_{level}']),
        'outputs': Cell([f'{sign}prob_{level}_dilate']),
        'params': Cell([]),
        'block': Struct(
            [
                {
                    'method': 'max',
                    'poolSize': np.full((1, 2), float(window)),
                    # Half a pixel, as the released code computes it.
                    'pad': np.full((1, 4), window / 2),
                    'stride': np.ones((1, 2)),
                }
            ]
        ),
    }


def make_simplenn(
    params: dict[str, np.ndarray], *, weights: bool = True, colour_image: bool = False
) -> dict[str, object]:
    """ImageNet's VGG-16 as a SimpleNN; the variables of its file.

    Args:
        params: Weights of VGG-16 by usual name.
        weights: Whether a layer has ``weights``, as newer files do, or ``filters`` and ``biases``.
        colour_image: Whether the mean is an image, as in older files, or a colour.
    """
    layers = Cell()
    convolutions = [name for name, *_ in VGG] + ['fc6', 'fc7', 'fc8']
    for name in convolutions:
        if name == 'fc8':
            fields = [np.zeros((1, 1, 8, 10), np.float32), np.zeros((1, 10), np.float32)]
        else:
            fields = [params[name + 'f'], params[name + 'b']]
        layer = {'name': name, 'type': 'conv', 'stride': np.ones((1, 2))}
        layer |= {'weights': Cell(fields)} if weights else dict(filters=fields[0], biases=fields[1])
        layers += [Struct([layer]), Struct([{'name': f'relu_{name}', 'type': 'relu'}])]
    mean = np.array([123.68, 116.779, 103.939], np.float32).reshape(1, 1, 3)
    if colour_image:
        mean = np.tile(mean, (224, 224, 1))
    normalization = Struct([{'averageImage': mean}])
    if weights:
        return {'layers': layers, 'meta': Struct([{'normalization': normalization}])}
    return {'layers': layers, 'normalization': normalization}


def write_v7(path: Path, variables: dict[str, object], compress: bool = False) -> Path:
    """Writes a file of version 7."""
    values = {name: _for_scipy(value) for name, value in variables.items()}
    scipy.io.savemat(path, values, do_compression=compress)
    return path


def _for_scipy(value: object) -> object:
    if isinstance(value, Struct):
        array = np.empty((1, len(value)), [(name, object) for name in value[0]])
        for i, element in enumerate(value):
            for name, item in element.items():
                array[name][0, i] = _for_scipy(item)
        return array
    if isinstance(value, Cell):
        array = np.empty((1, len(value)), object)
        for i, item in enumerate(value):
            array[0, i] = _for_scipy(item)
        return array
    if isinstance(value, dict):
        return {name: _for_scipy(item) for name, item in value.items()}
    return value


def write_v73(path: Path, variables: dict[str, object], compress: bool = False) -> Path:
    """Writes a file of version 7.3, as MATLAB lays it out in HDF5."""
    import h5py

    with h5py.File(path, 'w', userblock_size=512) as file:
        writer = _Hdf5Writer(file, compress)
        for name, value in variables.items():
            writer.write(file, name, Struct([value]) if isinstance(value, dict) else value)
    header = b'MATLAB 7.3 MAT-file, Platform: GLNXA64 HDF5 schema 1.00 .'.ljust(116)
    with path.open('r+b') as file:
        file.write(header + bytes(8) + b'\x00\x02IM')
    return path


class _Hdf5Writer:
    """Writes values as MATLAB does: struct arrays and cells as references into ``#refs#``."""

    def __init__(self, file, compress: bool) -> None:
        import h5py

        self._ref = h5py.Reference
        self._ref_dtype = h5py.ref_dtype
        self._refs = file.create_group('#refs#')
        self._count = 0
        self._options = dict(compression='gzip', compression_opts=1) if compress else {}

    def write(self, group, name: str, value: object):
        if isinstance(value, Struct):
            return self._struct(group, name, value)
        if isinstance(value, Cell):
            if not value:
                return self._empty(group, name, 'cell')
            node = self._references(group, name, value)
        elif isinstance(value, str):
            if not value:
                return self._empty(group, name, 'char')
            codes = np.array([[ord(letter)] for letter in value], np.uint16)
            node = group.create_dataset(name, data=codes)
            node.attrs['MATLAB_int_decode'] = np.int32(2)
        elif isinstance(value, bool):
            node = group.create_dataset(name, data=np.array([[value]], np.uint8))
            node.attrs['MATLAB_int_decode'] = np.int32(1)
        else:
            array = np.atleast_2d(np.asarray(value))
            options = self._options if array.size > 1000 else {}
            node = group.create_dataset(name, data=array.T, **options)
        node.attrs['MATLAB_class'] = np.bytes_(_matlab_class(value))
        return node

    def _struct(self, group, name: str, value: Struct):
        node = group.create_group(name)
        node.attrs['MATLAB_class'] = np.bytes_('struct')
        for field in value[0]:
            if len(value) == 1:
                self.write(node, field, value[0][field])
            else:
                self._references(node, field, [element[field] for element in value])
        return node

    def _references(self, group, name: str, values: list):
        references = np.empty((len(values), 1), self._ref_dtype)
        for i, value in enumerate(values):
            self._count += 1
            references[i, 0] = self.write(self._refs, f'r{self._count}', value).ref
        return group.create_dataset(name, data=references, dtype=self._ref_dtype)

    @staticmethod
    def _empty(group, name: str, kind: str):
        node = group.create_dataset(name, data=np.zeros(2, np.uint64))
        node.attrs['MATLAB_class'] = np.bytes_(kind)
        node.attrs['MATLAB_empty'] = np.uint8(1)
        return node


def _matlab_class(value: object) -> str:
    if isinstance(value, Cell):
        return 'cell'
    if isinstance(value, str):
        return 'char'
    if isinstance(value, bool):
        return 'logical'
    name = np.asarray(value).dtype.name
    return {'float32': 'single', 'float64': 'double'}.get(name, name)
