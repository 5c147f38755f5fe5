# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""This head against a textbook port, part by part, and whole models against the toolbox's.

    python tools/benchmarks/heads.py [--json FILE] [--models]

Every figure is the median of several rounds in which all ways are timed in turn; ratios are of
medians of one run. Labels are random blobs, weights are random: neither changes the work.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from side_by_side import device_line, seconds, table
from textbook import (
    TextbookHead,
    block_labels,
    pooled_range,
    textbook_mask,
    textbook_reconstruction,
    textbook_targets,
)

from mmseg_lrr.models import BoundaryMask, LRRHead
from mmseg_lrr.models.decode_heads.lrr_head import subsample_labels
from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets
from mmseg_lrr.ops.reconstruction import reconstruct
from mmseg_lrr.ops.sliding import sliding_range

CHANNELS = (256, 512, 1024, 2048)


def build_head(num_classes: int, device: str) -> LRRHead:
    """An LRR-4x of ResNet-50's widths without DE, coefficients not zero."""
    torch.manual_seed(0)
    head = LRRHead(
        in_channels=CHANNELS, num_classes=num_classes, upsample_border='replicate',
        dilation_erosion=None)
    for conv in head.coefficients.values():
        torch.nn.init.normal_(conv.weight, std=0.001)
    return head.to(device)


def build_features(size: int, batch: int, device: str) -> list[torch.Tensor]:
    """Maps of strides 4 to 32."""
    return [
        torch.rand(batch, channels, size // stride, size // stride, device=device)
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def head_loss(head: LRRHead, features: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The sum of the head's losses for labels given as a tensor."""
    total = 0
    for level, scores in head.forward_levels(features).items():
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


def peak_memory(which: str, args: argparse.Namespace) -> float:
    """MiB that a training step of one head adds to a fresh process's peak."""
    command = [sys.executable, __file__, '--child', which, '--size', str(args.size),
               '--classes', str(args.classes), '--threads', str(args.threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_child(args: argparse.Namespace) -> None:
    """Print the rise of this process's peak memory over one training step, in MiB."""
    head = build_head(args.classes, 'cpu')
    features = build_features(args.size, 1, 'cpu')
    labels = block_labels(args.size, 1, args.classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if args.child == 'ours':
        training_step(head, features, lambda: head_loss(head, features, labels))
    else:
        port = TextbookHead(head)
        training_step(port, features, lambda: port.loss(features, labels))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def build_model(name: str, num_classes: int) -> torch.nn.Module:
    """A ResNet-101 model of the toolbox, or this package's, as its configs have it."""
    norm_cfg = dict(type='BN', requires_grad=True)
    dilated = name != 'LRR-4x' and name != 'UPerNet'
    backbone = dict(
        type='ResNetV1c', depth=101, out_indices=(0, 1, 2, 3), style='pytorch',
        norm_cfg=norm_cfg, contract_dilation=True,
        dilations=(1, 1, 2, 4) if dilated else (1, 1, 1, 1),
        strides=(1, 2, 1, 1) if dilated else (1, 2, 2, 2))
    common = dict(num_classes=num_classes, norm_cfg=norm_cfg, dropout_ratio=0.1)
    heads = {
        'LRR-4x': dict(type='LRRHead', in_channels=CHANNELS, num_classes=num_classes),
        'DeepLabV3+': dict(
            type='DepthwiseSeparableASPPHead', in_channels=2048, in_index=3, channels=512,
            dilations=(1, 12, 24, 36), c1_in_channels=256, c1_channels=48, **common),
        'PSPNet': dict(type='PSPHead', in_channels=2048, in_index=3, channels=512,
                       pool_scales=(1, 2, 3, 6), **common),
        'FCN': dict(type='FCNHead', in_channels=2048, in_index=3, channels=512, num_convs=2,
                    concat_input=True, **common),
        'UPerNet': dict(type='UPerHead', in_channels=list(CHANNELS), in_index=[0, 1, 2, 3],
                        pool_scales=(1, 2, 3, 6), channels=512, **common),
    }
    return MODELS.build(ConfigDict(
        type='EncoderDecoder', backbone=backbone, decode_head=heads[name],
        test_cfg=dict(mode='whole'))).eval()


def main() -> None:
    """Measure, print the tables, and write the ratios if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', type=Path, help='file for the ratios')
    parser.add_argument('--size', type=int, default=512, help='side of the image (multiple of 64)')
    parser.add_argument('--classes', type=int, default=21)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--models', action='store_true', help='all whole models, not two alone')
    parser.add_argument('--child', choices=('ours', 'textbook'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    if args.child:
        run_child(args)
        return

    size, classes, runs = args.size, args.classes, args.runs
    head = build_head(classes, 'cpu')
    port = TextbookHead(head)
    features = build_features(size, 1, 'cpu')
    labels = block_labels(size, 1, classes)
    print(f'{device_line()}; {size}x{size}, {classes} classes, batch 1, median of {runs}\n')

    ratios, rows = {}, []

    def compare(key: str, what: str, textbook, ours) -> None:
        medians = seconds({'textbook': textbook, 'ours': ours}, runs)
        ratios[key] = medians['textbook'] / medians['ours']
        rows.append((what, medians['textbook'], medians['ours'], ratios[key]))

    with torch.no_grad():
        scores = 3 * torch.randn(1, classes, size, size)
        probabilities = scores.softmax(dim=1)
        mask = BoundaryMask(window=9)
        compare('mask_forward', 'mask of given probabilities, forward',
                lambda: pooled_range(probabilities), lambda: sliding_range(probabilities, 9))
        compare('mask_with_softmax', 'mask with its softmax, forward',
                lambda: textbook_mask(scores), lambda: mask(scores))
        coefficients = torch.randn(1, classes * 10, size // 4, size // 4)
        bases = head.reconstructions['4x'].bases
        compare('reconstruction_forward', 'reconstruction (4x), forward',
                lambda: textbook_reconstruction(coefficients, bases),
                lambda: reconstruct(coefficients, bases))
        compare('head_forward', 'head, forward', lambda: port(features),
                lambda: head.forward_levels(features))
        convolutions = seconds({
            'convolutions': lambda: [
                head.coefficients[level](feature)
                for level, feature in zip(head.levels, reversed(features), strict=True)
            ]}, runs)['convolutions']
    x, grad = probabilities.clone().requires_grad_(), torch.randn_like(probabilities)
    compare('mask_train', 'mask of given probabilities, forward + backward',
            lambda: gradient_step(pooled_range, x, grad),
            lambda: gradient_step(lambda p: sliding_range(p, 9), x, grad))
    compare('head_train', 'head, forward + losses + backward',
            lambda: training_step(port, features, lambda: port.loss(features, labels)),
            lambda: training_step(head, features, lambda: head_loss(head, features, labels)))
    compare('targets', 'DE targets, every 8th pixel as in training',
            lambda: textbook_targets(labels.numpy(), classes),
            lambda: dilation_erosion_targets(labels, classes, stride=8))
    compare('targets_full', 'DE targets, every pixel',
            lambda: textbook_targets(labels.numpy(), classes),
            lambda: dilation_erosion_targets(labels, classes))
    print(table('Parts: seconds, textbook / ours', ('part', 'textbook', 'ours', 'ratio'), rows))
    print(f'Coefficient convolutions alone, forward: {convolutions:.4g} s\n')

    memory = {which: peak_memory(which, args) for which in ('textbook', 'ours')}
    ratios['head_train_peak_memory'] = memory['ours'] / memory['textbook']
    print(f'Peak memory of a training step of the head: textbook {memory["textbook"]:.0f} MiB, '
          f'ours {memory["ours"]:.0f} MiB, ours / textbook '
          f'{ratios["head_train_peak_memory"]:.3f}\n')

    names = ['LRR-4x', 'DeepLabV3+'] + (['PSPNet', 'FCN', 'UPerNet'] if args.models else [])
    image = torch.randn(1, 3, size, size)
    with torch.no_grad():
        models = {name: build_model(name, classes) for name in names}
        medians = seconds({
            name: (lambda model=model: model(image)) for name, model in models.items()
        }, runs)
    rows = [(name, sum(p.numel() for p in models[name].parameters()) / 1e6, taken,
             taken / medians['LRR-4x']) for name, taken in medians.items()]
    print(table('Whole models, ResNet-101, forward',
                ('model', 'M parameters', 'seconds', '/ LRR-4x'), rows))
    ratios['end_to_end_vs_deeplabv3plus'] = medians['DeepLabV3+'] / medians['LRR-4x']
    if args.json:
        args.json.write_text(json.dumps({'device': device_line(), 'ratios': ratios}, indent=2))


if __name__ == '__main__':
    main()
