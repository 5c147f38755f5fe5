# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""This head against a textbook port, part by part, and whole models against the toolbox's.

    python tools/benchmarks/heads.py [--json FILE] [--models] [--growth] [--device cuda]

Every figure is the median of several rounds in which all ways are timed in turn; ratios are of
medians of one run. Labels are blocks of 64 pixels, weights are random. The head's training step is
without DE, which the port does not have; the whole models' is with all of a model's own losses.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from options import GROWTH, add_arguments, add_image
from side_by_side import device_line, seconds, table
from textbook import (
    TextbookHead,
    block_labels,
    pooled_range,
    textbook_mask,
    textbook_reconstruction,
    textbook_targets,
)
from torch.utils.checkpoint import checkpoint

from mmseg_lrr.models import BoundaryMask, LRRHead
from mmseg_lrr.models.decode_heads.lrr_head import subsample_labels
from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets
from mmseg_lrr.ops.reconstruction import reconstruct
from mmseg_lrr.ops.sliding import sliding_range
from mmseg_lrr.replacing import replacing

CHANNELS = (256, 512, 1024, 2048)
ALL_MODELS = ('LRR-4x', 'DeepLabV3+', 'PSPNet', 'FCN', 'UPerNet', 'SegFormer')


def build_head(num_classes: int, device: str) -> LRRHead:
    """An LRR-4x of ResNet-50's widths without DE.

    Its scores on :func:`build_features` have a standard deviation of 2: the time of the textbook's
    pooling depends on the values, and is least where all are nearly equal.
    """
    torch.manual_seed(0)
    head = LRRHead(
        in_channels=CHANNELS, num_classes=num_classes, upsample_border='replicate',
        dilation_erosion=None)
    for conv in head.coefficients.values():
        torch.nn.init.normal_(conv.weight, std=0.005)
    return head.to(device)


def build_features(size: int, batch: int, device: str) -> list[torch.Tensor]:
    """Maps of strides 4 to 32."""
    return [
        torch.rand(batch, channels, size // stride, size // stride, device=device)
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def head_loss(head: LRRHead, features: list[torch.Tensor], labels: torch.Tensor,
              levels: Callable | None = None) -> torch.Tensor:
    """The sum of the head's losses for labels given as a tensor.

    ``levels`` runs the head's levels in its place (compiled, in half precision).
    """
    total = 0
    for level, scores in (levels or head.forward_levels)(features).items():
        target = subsample_labels(labels, head.level_strides[level])
        total = total + head.loss_decode(scores, target)
    return total


def training_step(module: torch.nn.Module, features: list[torch.Tensor], loss) -> None:
    """Forward, loss, backward to parameters and features."""
    module.zero_grad(set_to_none=True)
    for feature in features:
        feature.requires_grad_(True)
        feature.grad = None
    loss().backward()


def gradient_step(function, x: torch.Tensor, grad: torch.Tensor) -> None:
    """Forward and backward of a function of one tensor."""
    x.grad = None
    function(x).backward(grad)


def peak_memory(what: str, args: argparse.Namespace) -> float:
    """MiB that one call adds to the peak memory of a process of its own."""
    command = [sys.executable, __file__, '--child', what, '--size', str(args.size),
               '--classes', str(args.classes), '--threads', str(args.threads),
               '--device', args.device]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def run_child(args: argparse.Namespace) -> None:
    """Print the rise of the peak memory over one call, in MiB: of this process, or of the GPU.

    ``--child`` is ``head:WHICH`` (a training step) or ``model:NAME:forward|train``.
    """
    device = args.device
    kind, which, *mode = args.child.split(':')
    if kind == 'model':
        model = build_model(which, args.classes).to(device)
        image = torch.randn(1, 3, args.size, args.size, device=device)

        def call() -> None:
            if mode == ['train']:
                model_step(model, image)
            else:
                with torch.no_grad():
                    model(image)
    else:
        head = build_head(args.classes, device).train()
        head.with_cp = which == 'ours, with_cp'
        features = build_features(args.size, 1, device)
        labels = block_labels(args.size, 1, args.classes).to(device)
        port = TextbookHead(head)

        # What recomputing imports at its first use (80 MiB) is not the head's.
        checkpoint(torch.relu, torch.zeros(1, requires_grad=True), use_reentrant=False)

        def call() -> None:
            if which == 'textbook':
                training_step(port, features, lambda: port.loss(features, labels))
            else:
                training_step(head, features, lambda: head_loss(head, features, labels))

    if device == 'cpu':
        Path('/proc/self/clear_refs').write_text('5')  # the peak counts from here
        before = memory_in_use('VmRSS')
        call()
        print((memory_in_use('VmHWM') - before) / 1024)
    else:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        print((torch.cuda.max_memory_allocated() - before) / 2**20)


def memory_in_use(field: str) -> int:
    """KiB of this process (Linux): ``VmRSS`` is what it holds now, ``VmHWM`` the most it held."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def build_model(name: str, num_classes: int) -> torch.nn.Module:
    """A ResNet-101 model of the toolbox, or this package's, as its configs have it."""
    norm_cfg = dict(type='BN', requires_grad=True)
    dilated = name in ('DeepLabV3+', 'PSPNet', 'FCN')
    backbone = dict(
        type='ResNetV1c', depth=101, out_indices=(0, 1, 2, 3), style='pytorch',
        norm_cfg=norm_cfg, contract_dilation=True,
        dilations=(1, 1, 2, 4) if dilated else (1, 1, 1, 1),
        strides=(1, 2, 1, 1) if dilated else (1, 2, 2, 2))
    common = dict(num_classes=num_classes, norm_cfg=norm_cfg, dropout_ratio=0.1)
    every_map = dict(in_channels=list(CHANNELS), in_index=[0, 1, 2, 3])
    heads = {
        'LRR-4x': dict(type='LRRHead', in_channels=CHANNELS, num_classes=num_classes),
        'DeepLabV3+': dict(
            type='DepthwiseSeparableASPPHead', in_channels=2048, in_index=3, channels=512,
            dilations=(1, 12, 24, 36), c1_in_channels=256, c1_channels=48, **common),
        'PSPNet': dict(type='PSPHead', in_channels=2048, in_index=3, channels=512,
                       pool_scales=(1, 2, 3, 6), **common),
        'FCN': dict(type='FCNHead', in_channels=2048, in_index=3, channels=512, num_convs=2,
                    concat_input=True, **common),
        'UPerNet': dict(type='UPerHead', pool_scales=(1, 2, 3, 6), channels=512, **every_map,
                        **common),
        'SegFormer': dict(type='SegformerHead', channels=256, **every_map, **common),
    }
    # Normalisation as in testing: batches of one have no statistics at a pooled pixel.
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder', backbone=backbone, decode_head=heads[name],
        test_cfg=dict(mode='whole'))).eval()
    if isinstance(model.decode_head, LRRHead):  # which would say that it has none
        model.decode_head.set_bases(torch.randn(num_classes, 10, 32, 32))
    return model


def model_step(model: torch.nn.Module, image: torch.Tensor) -> None:
    """Forward, the model's own losses (LRR's with DE) and backward of a whole model."""
    model.zero_grad(set_to_none=True)
    labels = block_labels(image.shape[-1], 1, model.num_classes).to(image.device)
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels),
                           metainfo=dict(img_shape=tuple(image.shape[2:])))
    losses = model.loss(image, [sample])
    sum(value for name, value in losses.items() if 'loss' in name).backward()


class Comparison:
    """Rows and ratios of textbook and ours."""

    def __init__(self, runs: int, device: str) -> None:
        self.runs, self.device = runs, device
        self.rows: list[tuple] = []
        self.ratios: dict[str, float] = {}

    def add(self, key: str, what: str, textbook, ours) -> None:
        """Time both in turn."""
        medians = seconds({'textbook': textbook, 'ours': ours}, self.runs, self.device)
        self.ratios[key] = medians['textbook'] / medians['ours']
        self.rows.append((what, medians['textbook'], medians['ours'], self.ratios[key]))

    def table(self, title: str) -> str:
        """As Markdown."""
        return table(title, ('part', 'textbook', 'ours', 'ratio'), self.rows)


def compare_parts(args: argparse.Namespace, size: int, classes: int) -> Comparison:
    """Mask, reconstruction, head and DE targets against their textbook ports."""
    device = args.device
    head = build_head(classes, device)
    port = TextbookHead(head)
    features = build_features(size, 1, device)
    labels = block_labels(size, 1, classes).to(device)
    parts = Comparison(args.runs, device)
    scores = 3 * torch.randn(1, classes, size, size, device=device)
    probabilities = scores.softmax(dim=1)
    mask = BoundaryMask(window=9)
    with torch.no_grad():
        parts.add('mask_forward', 'mask of given probabilities, forward',
                  lambda: pooled_range(probabilities), lambda: sliding_range(probabilities, 9))
        parts.add('mask_with_softmax', 'mask with its softmax, forward',
                  lambda: textbook_mask(scores), lambda: mask(scores))
    x, grad = probabilities.clone().requires_grad_(), torch.randn_like(probabilities)
    parts.add('mask_train', 'mask of given probabilities, forward + backward',
              lambda: gradient_step(pooled_range, x, grad),
              lambda: gradient_step(lambda p: sliding_range(p, 9), x, grad))
    coefficients = torch.randn(1, classes * 10, size // 4, size // 4, device=device)
    bases = head.reconstructions['4x'].bases
    with torch.no_grad():
        parts.add('reconstruction_forward', 'reconstruction (4x), forward',
                  lambda: textbook_reconstruction(coefficients, bases),
                  lambda: reconstruct(coefficients, bases))
        parts.add('head_forward', 'head, forward', lambda: port(features),
                  lambda: head.forward_levels(features))
    parts.add('head_train', 'head, forward + losses + backward',
              lambda: training_step(port, features, lambda: port.loss(features, labels)),
              lambda: training_step(head, features, lambda: head_loss(head, features, labels)))
    array = labels.cpu().numpy()
    parts.add('targets_every_pixel', 'DE targets, every pixel',
              lambda: textbook_targets(array, classes),
              lambda: dilation_erosion_targets(labels, classes))
    parts.add('targets', 'DE targets, every 8th pixel (as trained)',
              lambda: textbook_targets(array, classes),
              lambda: dilation_erosion_targets(labels, classes, stride=8))
    with torch.no_grad():
        convolutions = seconds({
            'convolutions': lambda: [
                head.coefficients[level](feature)
                for level, feature in zip(head.levels, reversed(features), strict=True)
            ], 'head': lambda: head.forward_levels(features)}, args.runs, device)
    parts.ratios['head_over_its_convolutions'] = (
        convolutions['head'] / convolutions['convolutions'])
    return parts


def compare_memory(args: argparse.Namespace) -> tuple[float, str]:
    """Peak memory of a training step of the head, each in a process of its own."""
    memory = {which: peak_memory(f'head:{which}', args)
              for which in ('textbook', 'ours', 'ours, with_cp')}
    text = table('Peak memory of a training step of the head (features given), MiB',
                 ('head', 'MiB', '/ textbook'),
                 [(which, used, used / memory['textbook']) for which, used in memory.items()])
    return memory['ours'] / memory['textbook'], text


def models_forward(args: argparse.Namespace, size: int, classes: int
                   ) -> tuple[dict[str, torch.nn.Module], torch.Tensor, dict[str, float]]:
    """The models by name, an image, and the seconds that each takes for it."""
    image = torch.randn(1, 3, size, size, device=args.device)
    models = {name: build_model(name, classes).to(args.device)
              for name in (ALL_MODELS if args.models else ALL_MODELS[:2])}
    with torch.no_grad():
        taken = seconds({
            name: (lambda model=model: model(image)) for name, model in models.items()
        }, args.runs, args.device)
    return models, image, taken


def compare_models(args: argparse.Namespace) -> tuple[float, str]:
    """Whole models at one backbone and image size."""
    models, image, forward = models_forward(args, args.size, args.classes)
    names = list(models)
    reference = forward['LRR-4x']
    header = ['model', 'M parameters', 'forward, s', '/ LRR-4x']
    columns = [[name, sum(p.numel() for p in models[name].parameters()) / 1e6, forward[name],
                forward[name] / reference] for name in names]
    if args.models:
        train = seconds({
            name: (lambda model=model: model_step(model, image))
            for name, model in models.items()
        }, args.runs, args.device)
        header += ['GMAC', 'training step, s', '/ LRR-4x']
        for column in columns:
            name = column[0]
            # mmengine counts a multiplication and its addition as one.
            flops = get_model_complexity_info(
                models[name], inputs=(image, ), show_table=False, show_arch=False)['flops']
            column += [flops / 1e9, train[name], train[name] / train['LRR-4x']]
        header += ['peak forward, MiB', 'peak training step, MiB']
        del models
        for column in columns:
            column += [peak_memory(f'model:{column[0]}:{mode}', args)
                       for mode in ('forward', 'train')]
    return forward['DeepLabV3+'] / reference, table('Whole models, ResNet-101', header, columns)


def growth_tables(args: argparse.Namespace) -> str:
    """Parts and whole models at other sizes and numbers of classes."""
    parts, models = [], []
    for size, classes in GROWTH:
        image = f'{size}x{size}'
        ratios = compare_parts(args, size, classes).ratios
        parts.append((image, classes, *ratios.values()))
        *_, taken = models_forward(args, size, classes)
        models.append((image, classes, taken['LRR-4x'],
                       *(other / taken['LRR-4x'] for other in taken.values())))
    keys = [key.replace('_', ' ') for key in ratios]
    return '\n'.join((
        table('Growth: textbook / ours (the last: head / its convolutions)',
              ('image', 'classes', *keys), parts),
        table('Growth: LRR-4x R101 forward in seconds, and models / LRR-4x',
              ('image', 'classes', 'seconds', *taken), models)))


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Print the tables.

    Returns:
        The ratios by name.
    """
    print(f'{device_line(args.device)}; batch 1, median of {args.runs}\n')
    parts = compare_parts(args, args.size, args.classes)
    ratios = parts.ratios
    print(parts.table(f'Parts, {args.size}x{args.size}, {args.classes} classes: seconds'))
    print('The head\'s forward pass takes '
          f'{ratios["head_over_its_convolutions"]:.3g} times what its coefficient convolutions '
          'take alone.\n')
    ratios['head_train_peak_memory'], text = compare_memory(args)
    print(text)
    ratios['end_to_end_vs_deeplabv3plus'], text = compare_models(args)
    print(text)
    if args.growth:
        print(growth_tables(args))
    return ratios


def main() -> None:
    """Measure, print the tables, and write the ratios if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', type=Path, help='file for the ratios')
    add_arguments(parser)
    add_image(parser)
    parser.add_argument('--models', action='store_true',
                        help='more models than DeepLabV3+, with MACs, backward pass and memory')
    parser.add_argument('--growth', action='store_true',
                        help='parts and whole models at other sizes and numbers of classes too')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    init_default_scope('mmseg')
    if args.child:
        run_child(args)
        return

    if args.json is None:
        measure(args)
        return
    # A place that cannot be written to is refused before the minutes of measuring.
    with replacing(args.json) as path:
        path.write_text(json.dumps(
            {'device': device_line(args.device), 'ratios': measure(args)}, indent=2))


if __name__ == '__main__':
    main()
