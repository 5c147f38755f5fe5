# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Runs the ``net.layers`` of a MatConvNet file, layer by layer, in NumPy and SciPy, float64.

A small stand-in for MatConvNet's DagNN: it knows the blocks of an LRR network, looks at nothing but
the file, and refuses what it does not know.
"""

from pathlib import Path

import numpy as np
import scipy.io
from scipy.special import softmax
from test_converters.reference_network import transposed


def run(path: Path, image: np.ndarray, until: str | None = None) -> dict[str, np.ndarray]:
    """The variables of the network for an image (H, W, 3), each (h, w, channels).

    All of them, or those up to ``until``.
    """
    net = scipy.io.loadmat(path)['net'][0, 0]
    params = {str(p['name'][0]): p['value'].astype(float) for p in net['params'][0]}
    variables = {'input': image}
    for layer in net['layers'][0]:
        kind = str(layer['type'][0]).removeprefix('dagnn.')
        inputs = [variables[str(name[0])] for name in layer['inputs'].ravel()]
        weights = [params[str(name[0])] for name in layer['params'].ravel()]
        block = layer['block'][0, 0] if layer['block'].dtype.names else {}
        (output,) = (str(name[0]) for name in layer['outputs'].ravel())
        assert output not in variables, output
        variables[output] = BLOCKS[kind](block, inputs, weights)
        if output == until:
            break
    return variables


def _numbers(block, name: str) -> list[int]:
    return [int(number) for number in block[name].ravel()]


def _windows(x: np.ndarray, size: tuple[int, int], block, outside: float) -> np.ndarray:
    top, bottom, left, right = _numbers(block, 'pad')
    x = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=outside)
    down, along = _numbers(block, 'stride')
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=(0, 1))[::down, ::along]


def _conv(block, inputs, weights):
    (x,), (filters, bias) = inputs, weights
    assert _numbers(block, 'size') == list(filters.shape)
    windows = _windows(x, filters.shape[:2], block, outside=0)
    return np.einsum('hwcyx,yxco->hwo', windows, filters, optimize=True) + bias.ravel()


def _pool(block, inputs, weights):
    (x,) = inputs
    assert block['method'][0] == 'max' and not weights
    return _windows(x, _numbers(block, 'poolSize'), block, outside=-np.inf).max(axis=(3, 4))


def _conv_transpose(block, inputs, weights):
    (x,), filters = inputs, weights[0]
    assert _numbers(block, 'size') == list(filters.shape)
    (step, step_along), (groups,) = _numbers(block, 'upsample'), _numbers(block, 'numGroups')
    assert step == step_along and _numbers(block, 'crop') == [step // 2] * 4
    assert bool(block['hasBias'].ravel()[0]) == (len(weights) == 2)
    stamped = transposed(x, filters, step)
    y = stamped.reshape(*stamped.shape[:2], groups, -1).sum(axis=3)
    return y + weights[1].ravel() if len(weights) == 2 else y


BLOCKS = {
    'Conv': _conv, 'Pooling': _pool, 'ConvTranspose': _conv_transpose,
    'SoftMax': lambda block, inputs, weights: softmax(inputs[0], axis=2),
    'ReLU': lambda block, inputs, weights: np.maximum(inputs[0], 0),
    # In MatConvNet's test mode.
    'DropOut': lambda block, inputs, weights: inputs[0],
    'Neg': lambda block, inputs, weights: -inputs[0],
    'Sum': lambda block, inputs, weights: inputs[0] + inputs[1],
    'DotProduct': lambda block, inputs, weights: inputs[0] * inputs[1],
}
