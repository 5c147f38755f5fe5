# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Coefficient convolutions in active tiles against whole maps, by the fraction that is active.

    python tools/benchmarks/tiles.py [--size 512] [--device cuda]

The two finest levels of an LRR-4x on ResNet-50 or -101. Tiles are active at random; what finding
them takes (from the boundary mask of the 4x level) is a row of its own.
"""

import argparse

import torch
from heads import CHANNELS
from mmseg_lrr.ops.tiled_conv import TILE, active_tiles, tiled_conv2d
from options import add_arguments, add_image
from side_by_side import device_line, seconds, table

from mmseg_lrr.ops.winograd import conv2d

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_image(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    with torch.no_grad():
        for level, channels, stride in (('4x', CHANNELS[0], 4), ('8x', CHANNELS[1], 8)):
            side = args.size // stride
            x = torch.randn(1, channels, side, side, device=args.device)
            weight = 0.01 * torch.randn(10 * args.classes, channels, 5, 5, device=args.device)
            bias = torch.zeros(len(weight), device=args.device)
            places = torch.rand(1, -(-side // TILE), -(-side // TILE), device=args.device)
            ways = {'whole': lambda x=x, w=weight, b=bias: conv2d(x, w, b, padding=2)}
            for fraction in FRACTIONS:
                active = places <= places.flatten().quantile(fraction)
                ways[fraction] = lambda x=x, w=weight, b=bias, a=active: tiled_conv2d(x, w, b, a)
            taken = seconds(ways, args.runs, args.device)
            rows += [(level, f'{channels} x {side} x {side}', way, 1e3 * value,
                      taken['whole'] / value) for way, value in taken.items()]
        mask = torch.rand(1, args.classes, args.size, args.size, device=args.device)
        finding = seconds(
            {'tiles': lambda: active_tiles(mask, 0.5, 4)}, args.runs, args.device)['tiles']
        rows.append(('4x', f'{args.classes} x {args.size} x {args.size}', 'finding them',
                     1e3 * finding, '-'))
    print(f'{device_line(args.device)}; median of {args.runs}')
    print(table('A level\'s coefficients, milliseconds',
                ('level', 'map', 'active', 'ms', 'whole / it'), rows))


if __name__ == '__main__':
    main()
