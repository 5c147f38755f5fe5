# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Convert an LRR checkpoint on VGG-16 to a MatConvNet network of the released layout.

Names of layers, variables and blocks are those that the authors' code makes and its test scripts
ask for, so that their scripts run a network written here. ``dagnn.Neg`` and ``dagnn.DotProduct``
are blocks of the authors' own. Losses are left out.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a checkpoint of LRRHead on VGG16FC, trained here or converted, to a '
        'MatConvNet network of the released layout (MATLAB v7). On any error nothing is written.'
    )
    parser.add_argument('src', metavar='SRC.pth', type=Path, help='checkpoint')
    parser.add_argument('dst', metavar='DST.mat', type=Path, help='MATLAB file to write')
    parser.add_argument(
        '--config',
        type=Path,
        help="the checkpoint's config: mean, standard deviation and mask window are taken from it; "
        'a checkpoint made by matconvnet2mmseg.py brings them itself',
    )
    parser.add_argument('--window', type=int, help="side of the boundary mask's window")
    parser.add_argument(
        '--mean', type=float, nargs=3, metavar=('R', 'G', 'B'), help='mean colour, 0 to 255'
    )
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmseg_lrr.converters import matconvnet
from mmseg_lrr.converters.config_check import network_of
from mmseg_lrr.converters.mat_file import write_mat
from mmseg_lrr.converters.matconvnet import LEVELS, LrrLayout
from mmseg_lrr.models.decode_heads.checkpoint_filter import rename_keys
from mmseg_lrr.ops import checks

# Learning rates of the released training code, relative to VGG's filters.
_COEFFICIENT_RATES = {'32x': 0.1, '16x': 0.1 / 2, '8x': 0.1 / 8, '4x': 0.1 / 512}
# Parts of a segmentor that are not the network itself.
_LEFT_OUT = ('data_preprocessor.', 'auxiliary_head.', 'decode_head.bases_loaded')
_FIRST = 'backbone.features.0.conv.weight'
# The variable that each level reads.
_FEATURES = {'32x': 'x37', '16x': 'x30', '8x': 'x23', '4x': 'x16'}


def to_matconvnet(
    path: str | Path,
    *,
    config: Config | None = None,
    window: int | None = None,
    mean: Sequence[float] | None = None,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Turn an LRR checkpoint on ``VGG16FC`` into a MatConvNet network of the released layout.

    MatConvNet's network subtracts a mean colour from an RGB image and divides by nothing: the
    standard deviation that a config divides by is folded into the first convolution.

    Args:
        path: A checkpoint of an ``EncoderDecoder``, trained or converted.
        config: The config of the checkpoint: its mean, standard deviation,
            mask window. A converted checkpoint brings all of this itself.
        window: The side of the mask's window, before what the config and the
            checkpoint say. Without any of them, 9 with a warning.
        mean: The mean colour (R, G, B), 0 to 255, likewise.

    Returns:
        tuple: The struct ``net`` as ``DagNN.saveobj`` writes it, what went where (one line per
        parameter), and what the user should know.

    Raises:
        ValueError: If the network is not of the released layout (missing, extra and wrong weights
            are listed together), or its mean colour is not known.
    """
    checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    weights = rename_keys(checkpoint.get('state_dict', checkpoint))
    meta = checkpoint.get('meta', {})
    layout = _layout(weights)
    warnings = []
    if config is not None:
        known = _checked(network_of(config), warnings)
    else:
        known = dict(dict(mean=None, mask_window=None), std=(1.0, 1.0, 1.0), **meta.get('lrr', {}))
    window = window or known['mask_window']
    if window is None and config is None and len(layout.levels) > 1:
        window = matconvnet.USUAL_WINDOW
        warnings.append(f'the mask window is not known: {window} is written')
    if window is not None:
        checks.odd('window', window, 3)
    mean = known['mean'] if mean is None else mean
    if mean is None:
        raise ValueError('the mean colour is not known; give --config or --mean')
    # (x - mean) / std, filtered, is x - mean, filtered by the filter / std.
    weights[_FIRST] = weights[_FIRST].double() / torch.tensor(known['std']).view(1, 3, 1, 1)
    bilinear = np.float32(np.tile(matconvnet.BILINEAR[:, :, None, None], layout.num_classes))
    values, moves = {}, []
    for parameter in layout.parameters():
        key = parameter.key
        value = parameter.to_matconvnet(weights[key]) if key else bilinear
        values[parameter.name] = value
        moves.append(f'{key or "the fixed 2x upsampling"} -> {parameter.name} {value.shape}')
    layers = dagnn_layers(layout, {name: v.shape for name, v in values.items()}, window)
    variables = dict.fromkeys(v for layer in layers for v in layer['inputs'] + layer['outputs'])
    classes = meta.get('dataset_meta', {}).get('classes') or map(str, range(layout.num_classes))
    net = dict(
        vars=[dict(name=name, precious=False) for name in variables],
        params=[
            dict(name=name, value=value, learningRate=_learning_rate(name), weightDecay=1.0)
            for name, value in values.items()
        ],
        layers=layers,
        meta=dict(
            normalization=dict(rgbMean=np.array(mean, np.float32).reshape(3, 1)),
            classes=list(classes),
        ),
    )
    return net, moves, warnings


def _layout(weights: Mapping[str, Tensor]) -> LrrLayout:
    bases, fc7 = matconvnet.BASES.format('32x'), 'backbone.fc7.conv.bias'
    if bases not in weights or fc7 not in weights:
        raise ValueError(f'this is no LRRHead on VGG16FC: it must have {bases} and {fc7}')
    num_classes, num_bases, *_ = weights[bases].shape
    layout = LrrLayout(
        num_classes=num_classes,
        num_bases=num_bases,
        levels=tuple(x for x in LEVELS if matconvnet.BASES.format(x) in weights),
        de_levels=tuple(
            x for x in LEVELS if matconvnet.BRANCH_BIAS.format('dilation', x) in weights
        ),
        fc_channels=len(weights[fc7]),
    )
    expected = {p.key: p.torch_shape for p in layout.parameters() if p.stored}
    problems = [f'missing: {key}' for key in expected if key not in weights]
    for key, value in weights.items():
        if key not in expected:
            problems += [] if key.startswith(_LEFT_OUT) else [f'extra: {key}']
        elif value.shape != expected[key]:
            problems.append(f'wrong: {key} is {tuple(value.shape)}, expected {expected[key]}')
    if problems:
        raise ValueError('\n  '.join(['the weights are not those of the layout:', *problems]))
    return layout


def _checked(known: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """Check that MatConvNet's network can do what the config says; add ``mask_window``."""
    if not known['rgb']:
        raise ValueError('data_preprocessor.bgr_to_rgb must be True: the layout is for RGB images')
    if len(known['mask_windows']) > 1:
        raise ValueError(f'mask windows must be the same at every level: {known["mask_windows"]}')
    if known['upsample_border'] != 'zeros':
        warnings.append(
            "upsample_border is not 'zeros', which is all that MatConvNet's network can do: "
            'scores near the border will differ'
        )
    return dict(known, mask_window=next(iter(known['mask_windows']), None))


def _learning_rate(name: str) -> float:
    if re.search(r'deconv_.*f$|_bil_x2f$', name):
        return 0.0
    if name.endswith('b'):
        return 2.0
    level = re.search(r'(\d+x)', name)
    return _COEFFICIENT_RATES[level[1]] if level else 1.0


def dagnn_layers(
    layout: LrrLayout, shapes: Mapping[str, Sequence[int]], window: int | None
) -> list[dict[str, Any]]:
    """List the layers of an LRR network.

    Args:
        layout: What the network consists of.
        shapes: Shapes of the parameters in MatConvNet, by name.
        window: The side of the mask's window; None for an unmasked network.

    Returns:
        list[dict[str, Any]]: One dictionary per layer, with ``name``, ``type``, ``inputs``,
        ``outputs`` and ``params`` (lists of names) and ``block`` (the options of the layer).
    """
    layers: list[dict[str, Any]] = []

    def add(
        kind: str, name: str, inputs: str, output: str, params: Sequence[str] = (), **block: Any
    ) -> str:
        block = {k: np.array(v, float) if isinstance(v, tuple) else v for k, v in block.items()}
        layer = dict(name=name, type=f'dagnn.{kind}', inputs=inputs.split(), outputs=[output])
        layers.append(dict(layer, params=list(params), block=block))
        return output

    def convolution(name: str, source: str, output: str) -> str:
        size = tuple(shapes[f'{name}f'])
        options = dict(size=size, hasBias=True, pad=(size[0] // 2,) * 4, stride=(1, 1))
        return add('Conv', name, source, output, (f'{name}f', f'{name}b'), **options)

    def transposed(name: str, source: str, output: str, factor: int, bias: bool = False) -> str:
        params = (f'{name}f', f'{name}b') if bias else (f'{name}f',)
        options = dict(
            size=tuple(shapes[f'{name}f']),
            hasBias=bias,
            upsample=(factor, factor),
            crop=(factor // 2,) * 4,
            numGroups=float(layout.num_classes),
            opts=['cudnn', 'nocudnn'],
        )
        return add('ConvTranspose', name, source, output, params, **options)

    def upsampling(source: str) -> str:
        return transposed(f'dec_{source}_bil_x2', source, f'{source}_bil_x2', 2)

    def max_pooling(name: str, source: str, output: str, size: int, stride: int, pad: tuple) -> str:
        options = dict(method='max', poolSize=(size, size), stride=(stride, stride), pad=pad)
        return add('Pooling', name, source, output, **options)

    # VGG-16 up to fc7; its variables are named by their place: x1, x2, ..., x37.
    variable = map('x{}'.format, itertools.count(1))
    source = 'input'
    for stage, (_, convolutions) in enumerate(matconvnet.VGG_STAGES, start=1):
        for i in range(1, convolutions + 1):
            source = convolution(f'conv{stage}_{i}', source, next(variable))
            source = add('ReLU', f'relu{stage}_{i}', source, next(variable))
        # Padding at the bottom and right alone rounds sizes up.
        source = max_pooling(f'pool{stage}', source, next(variable), 2, 2, (0, 1, 0, 1))
    for i, number in enumerate((6, 7), start=1):
        source = convolution(f'fc{number}', source, next(variable))
        source = add('ReLU', f'relu{number}', source, next(variable))
        source = add('DropOut', f'dropout{i}', source, next(variable), rate=0.5)

    for coarser, level in zip((None, *layout.levels), layout.levels, strict=False):
        # What a level adds to the coarser one's scores; the coarsest level's are its scores.
        added = '_add' if coarser else ''
        coefficients = convolution(f'bases_coef_{level}', _FEATURES[level], f'coef_{level}')
        detail = transposed(f'deconv_{level}', coefficients, f'prediction_{level}{added}', 4)
        if coarser:
            upsampled = upsampling(f'prediction_{coarser}')
            if window is not None:
                pad = ((window - 1) // 2,) * 4
                prob = add('SoftMax', f'prob_{coarser}', upsampled, f'prob_{coarser}')
                negative = add('Neg', f'neg_{prob}', prob, f'neg_{prob}')
                dilated = [
                    max_pooling(f'{sign}prob_dilate_{coarser}', x, f'{x}_dilate', window, 1, pad)
                    for sign, x in (('', prob), ('neg_', negative))
                ]
                mask = f'bound_mask{coarser}'
                add('Sum', mask, ' '.join(dilated), mask)
                detail = add(
                    'DotProduct', f'dot_prod_{level}', f'{mask} {detail}', f'pred_{level}_aft_DP'
                )
            add('Sum', f'sum{level}', f'{upsampled} {detail}', f'prediction_{level}')
        for short in matconvnet.BRANCHES if level in layout.de_levels else ():
            name, scores = f'{short}_seg{level}_coef', f'{short}_seg{level}'
            coefficients = convolution(name, _FEATURES[level], name)
            name = f'{short}_seg_deconv_{level}{added}'
            detail = transposed(name, coefficients, scores + added, 4, bias=True)
            if coarser:
                upsampled = upsampling(f'{short}_seg{coarser}')
                add('Sum', f'sum_{short}{level}', f'{upsampled} {detail}', scores)
    return layers


def main() -> None:
    args = parse_args()
    config = Config.fromfile(args.config) if args.config else None
    try:
        net, moves, warnings = to_matconvnet(
            args.src, config=config, window=args.window, mean=args.mean
        )
    except ValueError as error:
        sys.exit(f'{args.src}: {error}')
    for line in moves:
        print(line)
    for warning in warnings:
        print(f'WARNING: {warning}', file=sys.stderr)
    write_mat(args.dst, {'net': net})
    print(f'wrote {args.dst}')


if __name__ == '__main__':
    main()
