# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""DE targets against ``cv2.dilate`` and ``cv2.erode`` of every class.

    python tools/benchmarks/targets.py [--device cuda]
"""

import argparse

import cv2
import torch
from options import add_arguments, add_cases, whole
from side_by_side import device_line, seconds, table
from textbook import block_labels, textbook_targets

from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, runs=3)
    add_cases(parser)
    parser.add_argument('--batch', type=whole(), default=1, help='images (default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    rows = []
    for size, classes in args.cases:
        labels = block_labels(size, args.batch, classes).to(args.device)
        array = labels.cpu().numpy()
        medians = seconds({
            'cv2': lambda array=array, classes=classes: textbook_targets(array, classes),
            'ours': lambda labels=labels, classes=classes: dilation_erosion_targets(
                labels, classes, stride=8),
            'ours, every pixel': lambda labels=labels, classes=classes: dilation_erosion_targets(
                labels, classes)}, args.runs, args.device)
        rows.append((f'{args.batch} x {size}x{size}', classes, *(1e3 * t for t in medians.values()),
                     medians['cv2'] / medians['ours'],
                     medians['cv2'] / medians['ours, every pixel']))
    print(f'{device_line(args.device)}; median of {args.runs}')
    print(table(
        'DE targets, radius 32, milliseconds',
        ('labels', 'classes', 'cv2', 'ours, every 8th pixel (as trained)', 'ours, every pixel',
         'ratio', 'ratio, every pixel'), rows))


if __name__ == '__main__':
    main()
