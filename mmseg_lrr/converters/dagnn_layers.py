# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The layers of an LRR network as MatConvNet's DagNN describes them.

Names of layers, variables and blocks are those that the authors' code makes and its test scripts
ask for, so that their scripts run a network written here. ``dagnn.Neg`` and ``dagnn.DotProduct``
are blocks of the authors' own. Losses are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .matconvnet import DE_BRANCHES, LrrLayout

# Convolutions of each stage; a max pooling ends it.
_VGG_STAGES = (2, 2, 3, 3, 3)
# The variable that each level reads.
_FEATURES = {'32x': 'x37', '16x': 'x30', '8x': 'x23', '4x': 'x16'}
_UPSAMPLING = 4


def dagnn_layers(
    layout: LrrLayout, shapes: Mapping[str, Sequence[int]], window: int | None
) -> list[dict[str, Any]]:
    """Lists the layers of an LRR network.

    Args:
        layout (LrrLayout): What the network consists of.
        shapes (Mapping[str, Sequence[int]]): Shapes of the parameters in MatConvNet, by name.
        window (int or None): The side of the mask's window; None for an unmasked network.

    Returns:
        list[dict[str, Any]]: A dictionary a layer, with ``name``, ``type``, ``inputs``,
        ``outputs`` and ``params`` (lists of names) and ``block`` (the options of the layer).
    """
    graph = _Graph(layout.num_classes, shapes)
    _add_vgg(graph)
    for coarser, level in zip((None, *layout.levels), layout.levels, strict=False):
        # What a level adds to the coarser one's scores; the coarsest level's are its scores.
        added = '_add' if coarser else ''
        detail = f'prediction_{level}{added}'
        graph.convolution(f'bases_coef_{level}', _FEATURES[level], f'coef_{level}')
        graph.reconstruction(f'deconv_{level}', f'coef_{level}', detail)
        if coarser:
            upsampled = graph.upsampling(f'prediction_{coarser}')
            if window is not None:
                detail = _add_mask(graph, upsampled, detail, coarser, level, window)
            graph.sum(f'sum{level}', [upsampled, detail], f'prediction_{level}')
        for branch in DE_BRANCHES if level in layout.de_levels else ():
            coefficients, scores = f'{branch}_seg{level}_coef', f'{branch}_seg{level}'
            graph.convolution(coefficients, _FEATURES[level], coefficients)
            graph.reconstruction(
                f'{branch}_seg_deconv_{level}{added}', coefficients, scores + added, bias=True
            )
            if coarser:
                upsampled = graph.upsampling(f'{branch}_seg{coarser}')
                graph.sum(f'sum_{branch}{level}', [upsampled, scores + added], scores)
    return graph.layers


def _add_vgg(graph: _Graph) -> None:
    """Adds VGG-16 up to fc7; its variables are named by their place: x1, x2, …, x37."""
    plan = []
    for stage, convolutions in enumerate(_VGG_STAGES, start=1):
        for place in range(1, convolutions + 1):
            plan += [(f'conv{stage}_{place}', 'Conv'), (f'relu{stage}_{place}', 'ReLU')]
        plan.append((f'pool{stage}', 'Pooling'))
    for place, number in enumerate((6, 7), start=1):
        plan += [(f'fc{number}', 'Conv'), (f'relu{number}', 'ReLU'), (f'dropout{place}', 'DropOut')]
    blocks = {
        'ReLU': {},
        'DropOut': dict(rate=0.5),
        # Padding at the bottom and right alone rounds sizes up.
        'Pooling': dict(method='max', poolSize=[2, 2], stride=[2, 2], pad=[0, 1, 0, 1]),
    }
    source = 'input'
    for place, (name, kind) in enumerate(plan, start=1):
        output = f'x{place}'
        if kind == 'Conv':
            graph.convolution(name, source, output)
        else:
            graph.layer(name, kind, [source], output, **blocks[kind])
        source = output


def _add_mask(
    graph: _Graph, upsampled: str, detail: str, coarser: str, level: str, window: int
) -> str:
    """Adds the boundary mask of a level; returns the variable of the masked detail."""
    pooling = dict(
        method='max', poolSize=[window, window], stride=[1, 1], pad=[(window - 1) // 2] * 4
    )
    graph.layer(f'prob_{coarser}', 'SoftMax', [upsampled], f'prob_{coarser}')
    graph.layer(f'neg_prob_{coarser}', 'Neg', [f'prob_{coarser}'], f'neg_prob_{coarser}')
    dilated = []
    for sign in ('', 'neg_'):
        dilated.append(f'{sign}prob_{coarser}_dilate')
        graph.layer(
            f'{sign}prob_dilate_{coarser}', 'Pooling', [f'{sign}prob_{coarser}'], dilated[-1],
            **pooling,
        )  # fmt: skip
    mask, masked = f'bound_mask{coarser}', f'pred_{level}_aft_DP'
    graph.sum(mask, dilated, mask)
    graph.layer(f'dot_prod_{level}', 'DotProduct', [mask, detail], masked)
    return masked


class _Graph:
    """Layers in the making.

    Args:
        num_classes (int): The number of classes, each a group of its own where scores are made.
        shapes (Mapping[str, Sequence[int]]): Shapes of the parameters in MatConvNet, by name.
    """

    def __init__(self, num_classes: int, shapes: Mapping[str, Sequence[int]]) -> None:
        self.layers: list[dict[str, Any]] = []
        self._num_classes = num_classes
        self._shapes = shapes

    def layer(
        self,
        name: str,
        kind: str,
        inputs: list[str],
        output: str,
        params: Sequence[str] = (),
        **block: Any,
    ) -> None:
        self.layers.append(
            dict(
                name=name,
                type=f'dagnn.{kind}',
                inputs=inputs,
                outputs=[output],
                params=list(params),
                block=block,
            )
        )

    def convolution(self, name: str, source: str, output: str) -> None:
        size = self._shapes[f'{name}f']
        self.layer(
            name, 'Conv', [source], output, [f'{name}f', f'{name}b'],
            size=list(size), hasBias=True, pad=[size[0] // 2] * 4, stride=[1, 1],
        )  # fmt: skip

    def reconstruction(self, name: str, source: str, output: str, bias: bool = False) -> None:
        params = [f'{name}f', f'{name}b'] if bias else [f'{name}f']
        self._transposed(name, source, output, params, _UPSAMPLING)

    def upsampling(self, source: str) -> str:
        output = f'{source}_bil_x2'
        self._transposed(f'dec_{output}', source, output, [f'dec_{output}f'], 2)
        return output

    def sum(self, name: str, inputs: list[str], output: str) -> None:
        self.layer(name, 'Sum', inputs, output)

    def _transposed(
        self, name: str, source: str, output: str, params: list[str], factor: int
    ) -> None:
        self.layer(
            name, 'ConvTranspose', [source], output, params,
            size=list(self._shapes[params[0]]), hasBias=len(params) == 2, upsample=[factor] * 2,
            crop=[factor // 2] * 4, numGroups=self._num_classes, opts=['cudnn', 'nocudnn'],
        )  # fmt: skip
