# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files of the layout that the authors released, with random weights.

Written from the layout's description alone; nothing here uses the package's converters.
Parameters are kept under the names that the released training code makes; a file may spell them
otherwise. A struct array is a list of dictionaries, a cell array any other list.
"""

import itertools
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
)
# How the released Cityscapes file spells what it does not spell in the usual way.
CITYSCAPES_SPELLING = {
    'bases_coef_16xf': 'bases_coef_16sf', 'dil_seg_deconv_32xb': 'dil_mask_deconv32sb',
    'ero_seg32x_coeff': 'ero_mask32s_coeff', 'ero_seg_deconv_32xb': 'ero_mask_deconv32sb'}
# The other way round: what is usual there is old here.
OTHER_SPELLING = {
    'bases_coef_16xb': 'bases_coef_16sb', 'bases_coef_32xf': 'bases_coef_32sf',
    'bases_coef_4xb': 'bases_coef_4sb', 'dil_seg32x_coeff': 'dil_mask32s_coeff',
    'dil_seg32x_coefb': 'dil_mask32s_coefb', 'ero_seg32x_coefb': 'ero_mask32s_coefb',
    'dil_seg_deconv_32xf': 'dil_mask_deconv32sf', 'ero_seg_deconv_32xf': 'ero_mask_deconv32sf'}


def random_params(seed: int, *, num_classes: int, num_bases: int = 10, fc_channels: int = 4096,
                  levels: tuple[str, ...] = LEVELS, de_levels: tuple[str, ...] = ('32x',),
                  hollow_vgg: bool = False) -> dict[str, np.ndarray]:
    """Random weights by usual name, scaled so that features and scores are of size 1.

    With ``hollow_vgg``, VGG-16's convolutions are zeros that need no time and no memory.
    """
    rng = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        # MATLAB's order of elements.
        return (rng.standard_normal(shape[::-1], np.float32) * np.float32(scale)).T

    def convolution(name: str, size: int, inputs: int, outputs: int, gain: float) -> dict:
        scale = (gain / (size * size * inputs)) ** 0.5
        return {name + 'f': normal(scale, size, size, inputs, outputs),
                name + 'b': normal(0.1, 1, outputs)}

    params = {}
    for name, *shape in VGG:
        if hollow_vgg:
            params[name + 'f'] = np.broadcast_to(np.float32(0), (shape[0], *shape))
            params[name + 'b'] = np.broadcast_to(np.float32(0), (1, shape[-1]))
        else:
            params |= convolution(name, *shape, 2.0)
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


def make_net(params: dict[str, np.ndarray], *, spelling: dict[str, str] | None = None,
             window: int | None = None, classes: list[str] | None = None
             ) -> list[dict[str, object]]:
    """The struct ``net``; with ``window``, ``net.layers`` is there too."""
    names = {name: (spelling or {}).get(name, name) for name in params}
    # VGG's own averageImage is not the one that LRR uses.
    normalization = dict(averageImage=np.full((1, 1, 3), 120, np.float32), rgbMean=RGB_MEAN)
    net: dict[str, object] = dict(
        vars=[dict(name='input', precious=False), dict(name='x1', precious=False)],
        params=[dict(name=names[name], value=value, learningRate=1.0, weightDecay=1.0)
                for name, value in params.items()],
        meta=[dict(normalization=[normalization], classes=classes or [])])
    if window is not None:
        net['layers'] = [_pooling('pool1', 2), _pooling('prob_other', 5), *(
            _pooling(f'{sign}prob_dilate_{level}', window)
            for level in LEVELS[:3] for sign in ('', 'neg_'))]
    return [net]


def _pooling(name: str, window: int) -> dict[str, object]:
    # Half a pixel, as the released code computes it.
    sizes = dict(poolSize=np.full((1, 2), float(window)), pad=np.full((1, 4), window / 2))
    block = [dict(method='max', stride=np.ones((1, 2)), **sizes)]
    arguments = dict(inputs=['x4'], outputs=['x5'], params=[])
    return dict(name=name, type='dagnn.Pooling', block=block, **arguments)


def make_simplenn(params: dict[str, np.ndarray], *, old: bool = False) -> dict[str, object]:
    """ImageNet's VGG-16 as a SimpleNN; the variables of its file.

    Older files have ``filters`` and ``biases`` and an image of the mean colour, newer ones
    ``weights`` and the colour.
    """
    params = params | dict(fc8f=np.zeros((1, 1, 8, 10), np.float32), fc8b=np.zeros((1, 10)))
    layers = []
    for name in [*(name for name, *_ in VGG), 'fc6', 'fc7', 'fc8']:
        filters, biases = params[name + 'f'], params[name + 'b']
        values = dict(filters=filters, biases=biases) if old else dict(weights=[filters, biases])
        layers += [[dict(name=name, type='conv', **values)], [dict(name='relu', type='relu')]]
    mean = np.array([123.68, 116.779, 103.939], np.float32).reshape(1, 1, 3)
    normalization = [dict(averageImage=np.tile(mean, (224, 224, 1)) if old else mean)]
    if old:
        return dict(layers=layers, normalization=normalization)
    return dict(layers=layers, meta=[dict(normalization=normalization)])


def write_v7(path: Path, variables: dict[str, object], compress: bool = False) -> Path:
    """Write a file of version 7."""
    values = {name: _for_scipy(value) for name, value in variables.items()}
    scipy.io.savemat(path, values, do_compression=compress)
    return path


def _for_scipy(value: object) -> object:
    if not isinstance(value, list):
        return value
    names = list(value[0]) if value and isinstance(value[0], dict) else []
    array = np.empty((1, len(value)), [(name, object) for name in names] or object)
    for i, item in enumerate(value):
        for name in names:
            array[name][0, i] = _for_scipy(item[name])
        if not names:
            array[0, i] = _for_scipy(item)
    return array


def write_v73(path: Path, variables: dict[str, object], compress: bool = False) -> Path:
    """Write a file of version 7.3, as MATLAB lays it out in HDF5."""
    import h5py

    options = dict(compression='gzip', compression_opts=1) if compress else {}
    classes = {'float32': 'single', 'float64': 'double', 'bool': 'logical'}
    counter = itertools.count()

    def references(group, name: str, values: list):
        """Struct arrays and cells are references into ``#refs#``."""
        made = [write(refs, f'r{next(counter)}', value).ref for value in values]
        data = np.array(made, h5py.ref_dtype).reshape(-1, 1)
        return group.create_dataset(name, data=data, dtype=h5py.ref_dtype)

    def write(group, name: str, value: object):
        kind = 'char' if isinstance(value, str) else 'cell'
        if isinstance(value, str | list) and not value:
            node = group.create_dataset(name, data=np.zeros(2, np.uint64))
            node.attrs['MATLAB_empty'] = np.uint8(1)
        elif isinstance(value, str):
            node = group.create_dataset(name, data=[[ord(letter)] for letter in value], dtype='u2')
        elif not isinstance(value, list):
            array = np.atleast_2d(value)
            kind = classes.get(array.dtype.name, array.dtype.name)
            array = array.astype(np.uint8) if kind == 'logical' else array
            packed = options if array.size > 1000 else {}
            node = group.create_dataset(name, data=array.T, **packed)
        elif isinstance(value[0], dict):
            kind = 'struct'
            node = group.create_group(name)
            for field in value[0]:
                if len(value) == 1:
                    write(node, field, value[0][field])
                else:
                    references(node, field, [element[field] for element in value])
        else:
            node = references(group, name, value)
        node.attrs['MATLAB_class'] = np.bytes_(kind)
        return node

    with h5py.File(path, 'w', userblock_size=512) as file:
        refs = file.create_group('#refs#')
        for name, value in variables.items():
            write(file, name, value)
    header = b'MATLAB 7.3 MAT-file, Platform: GLNXA64 HDF5 schema 1.00 .'.ljust(116)
    with path.open('r+b') as file:
        file.write(header + bytes(8) + b'\x00\x02IM')
    return path
