# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The reconstruction against a grouped transposed convolution, by image size and classes.

    python tools/benchmarks/reconstruction.py [--device cuda]
"""

import argparse

import torch
from options import add_arguments, add_cases
from side_by_side import device_line, seconds, table
from textbook import textbook_reconstruction

from mmseg_lrr.ops.reconstruction import reconstruct


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_cases(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for size, classes in args.cases:
        bases = torch.randn(classes, 10, 8, 8, device=args.device)
        x = torch.randn(1, classes * 10, size // 4, size // 4, device=args.device)
        grad = torch.randn(1, classes, size, size, device=args.device)
        leaf = x.clone().requires_grad_()

        def step(function, leaf=leaf, bases=bases, grad=grad) -> None:
            leaf.grad = None
            function(leaf, bases).backward(grad)

        with torch.no_grad():
            forward = seconds({
                'transposed': lambda x=x, bases=bases: textbook_reconstruction(x, bases),
                'ours': lambda x=x, bases=bases: reconstruct(x, bases)}, args.runs, args.device)
        train = seconds({'transposed': lambda step=step: step(textbook_reconstruction),
                         'ours': lambda step=step: step(reconstruct)}, args.runs, args.device)
        rows.append((f'{size}x{size}', classes,
                     forward['transposed'] * 1e3, forward['ours'] * 1e3,
                     forward['transposed'] / forward['ours'],
                     train['transposed'] * 1e3, train['ours'] * 1e3,
                     train['transposed'] / train['ours']))
    print(f'{device_line(args.device)}; median of {args.runs}')
    print(table(
        'Reconstruction of the 4x level, milliseconds',
        ('image', 'classes', 'conv_transpose2d', 'ours', 'ratio', 'conv_transpose2d fwd+bwd',
         'ours fwd+bwd', 'ratio'), rows))


if __name__ == '__main__':
    main()
