# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head eager, compiled, in half precision, channels_last, recomputing: speed and difference.

    python tools/benchmarks/modes.py [--device cuda] [--ways torch.compile ...]

Each way is timed in turn, forward and a training step (losses of every level and backwards); the
difference is the finest level's largest one from eager float32, over the scores' maximum.
``torch.compile`` needs a C++ compiler and some minutes.
"""

import argparse
from collections.abc import Callable, Sequence

import torch
from heads import build_features, build_head, head_loss, training_step
from mmengine.registry import init_default_scope
from options import add_arguments, add_image
from side_by_side import device_line, seconds, table
from textbook import block_labels
from torch import Tensor

from mmseg_lrr.models import LRRHead

WAYS = ('eager', 'channels_last', 'bfloat16 autocast', 'float16 autocast', 'with_cp',
        'torch.compile')


def ways(args: argparse.Namespace) -> dict[str, tuple[LRRHead, Callable, list[Tensor]]]:
    """By name, eager first: the head, what runs its levels, and the maps that it gets."""
    device = args.device
    head, features = build_head(args.classes, device), build_features(args.size, 1, device)
    last = build_head(args.classes, device).to(memory_format=torch.channels_last)
    last_features = [item.to(memory_format=torch.channels_last) for item in features]
    cheap = build_head(args.classes, device)
    cheap.with_cp = True

    def autocast(dtype: torch.dtype) -> Callable[[Sequence[Tensor]], dict[str, Tensor]]:
        def levels(inputs: Sequence[Tensor]) -> dict[str, Tensor]:
            with torch.autocast(torch.device(device).type, dtype=dtype):
                return head.forward_levels(inputs)
        return levels

    found = {
        'eager': (head, head.forward_levels, features),
        'channels_last': (last, last.forward_levels, last_features),
        'bfloat16 autocast': (head, autocast(torch.bfloat16), features),
        'float16 autocast': (head, autocast(torch.float16), features),
        'with_cp': (cheap, cheap.forward_levels, features),
        'torch.compile': (head, torch.compile(head.forward_levels, dynamic=False), features),
    }
    return {name: way for name, way in found.items() if name in ('eager', *args.ways)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_image(parser)
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=list(WAYS),
                        help='beside eager (default: all; float16 and bfloat16 take minutes on a '
                        'CPU that has no such arithmetic)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    labels = block_labels(args.size, 1, args.classes).to(args.device)
    chosen = ways(args)
    with torch.no_grad():
        scores = {name: levels(features)['4x'].float()
                  for name, (_, levels, features) in chosen.items()}
        forward = seconds({
            name: (lambda levels=levels, features=features: levels(features))
            for name, (_, levels, features) in chosen.items()}, args.runs, args.device)
    train = seconds({
        name: (lambda head=head, levels=levels, features=features: training_step(
            head, features, lambda: head_loss(head, features, labels, levels)))
        for name, (head, levels, features) in chosen.items()}, args.runs, args.device)
    largest = float(scores['eager'].abs().max())
    print(f'{device_line(args.device)}; {args.size}x{args.size}, {args.classes} classes, batch 1, '
          f'median of {args.runs}\n')
    print(table(
        'The head, seconds',
        ('way', 'forward', 'eager / it', 'training step', 'eager / it', 'difference'),
        [(name, forward[name], forward['eager'] / forward[name], train[name],
          train['eager'] / train[name],
          float((scores[name] - scores['eager']).abs().max()) / largest) for name in chosen]))


if __name__ == '__main__':
    main()
