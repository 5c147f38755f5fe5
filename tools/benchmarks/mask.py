# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The sliding range against a pair of ``max_pool2d``, by image size and number of classes.

    python tools/benchmarks/mask.py [--device cuda]
"""

import argparse

import torch
from options import add_arguments, add_cases, whole
from side_by_side import device_line, seconds, table
from textbook import pooled_range

from mmseg_lrr.ops.sliding import sliding_range


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_cases(parser)
    parser.add_argument('--window', type=whole(), default=9, help='odd (default: %(default)s)')
    args = parser.parse_args()
    if args.window % 2 == 0:
        parser.error(f'--window must be odd, got {args.window}')
    torch.set_num_threads(args.threads)
    rows = []
    for size, classes in args.cases:
        x = (3 * torch.randn(1, classes, size, size, device=args.device)).softmax(dim=1)
        grad = torch.randn_like(x)
        leaf = x.clone().requires_grad_()

        def step(function, leaf=leaf, grad=grad) -> None:
            leaf.grad = None
            function(leaf, args.window).backward(grad)

        with torch.no_grad():
            forward = seconds({
                'pool': lambda x=x: pooled_range(x, args.window),
                'ours': lambda x=x: sliding_range(x, args.window)}, args.runs, args.device)
        train = seconds({'pool': lambda step=step: step(pooled_range),
                         'ours': lambda step=step: step(sliding_range)}, args.runs, args.device)
        rows.append((f'{size}x{size}', classes,
                     forward['pool'] * 1e3, forward['ours'] * 1e3,
                     forward['pool'] / forward['ours'],
                     train['pool'] * 1e3, train['ours'] * 1e3, train['pool'] / train['ours']))
    print(f'{device_line(args.device)}; median of {args.runs}')
    print(table(
        f'Sliding range, window {args.window}, milliseconds',
        ('image', 'classes', 'max_pool2d', 'ours', 'ratio', 'max_pool2d fwd+bwd',
         'ours fwd+bwd', 'ratio'), rows))


if __name__ == '__main__':
    main()
