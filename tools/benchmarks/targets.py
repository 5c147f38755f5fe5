# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""DE targets against ``cv2.dilate`` and ``cv2.erode`` of every class.

    python tools/benchmarks/targets.py
"""

import argparse

import cv2
import torch
from side_by_side import device_line, seconds, table
from textbook import block_labels, textbook_targets

from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--runs', type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    rows = []
    for size, classes, batch in ((384, 21, 4), (512, 19, 1), (512, 21, 1), (512, 150, 1)):
        labels = block_labels(size, batch, classes)
        array = labels.numpy()
        medians = seconds({
            'cv2': lambda array=array, classes=classes: textbook_targets(array, classes),
            'ours': lambda labels=labels, classes=classes: dilation_erosion_targets(
                labels, classes, stride=8),
            'ours, every pixel': lambda labels=labels, classes=classes: dilation_erosion_targets(
                labels, classes)}, args.runs)
        rows.append((f'{batch} x {size}x{size}', classes, *(1e3 * t for t in medians.values()),
                     medians['cv2'] / medians['ours'],
                     medians['cv2'] / medians['ours, every pixel']))
    print(device_line())
    print(table(
        'DE targets, radius 32, milliseconds',
        ('labels', 'classes', 'cv2', 'ours, every 8th pixel (as trained)', 'ours, every pixel',
         'ratio', 'ratio, every pixel'), rows))


if __name__ == '__main__':
    main()
