# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Convert an LRR checkpoint on VGG-16 to a MatConvNet network of the released layout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from mmengine.config import Config

from mmseg_lrr.converters.to_matconvnet import export


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


def main() -> None:
    args = parse_args()
    try:
        config = Config.fromfile(args.config) if args.config else None
        result = export(args.src, config=config, window=args.window, mean=args.mean)
    except (ValueError, TypeError, FileNotFoundError) as error:
        sys.exit(f'{error}\nnothing was written')
    for line in result.moves:
        print(line)
    for warning in result.warnings:
        print(f'WARNING: {warning}', file=sys.stderr)
    result.save(args.dst)
    print(f'wrote {args.dst}')


if __name__ == '__main__':
    main()
