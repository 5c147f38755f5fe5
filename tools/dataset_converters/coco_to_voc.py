# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""COCO as published -> label maps of VOC's 20 classes and the list of images that have enough."""

import sys

from command_line import make_parser, run_converter

from mmseg_lrr.datasets.preparation import prepare_coco
from mmseg_lrr.datasets.preparation.coco_to_voc import MIN_AREA


def main() -> int:
    parser = make_parser(
        'Draw COCO\'s instances of VOC\'s 20 classes as label maps (SegmentationClassVOC, 255 '
        'where classes overlap) and list the images to train on '
        '(ImageSets/Segmentation/voc20.txt). Needs pycocotools (pip install ".[coco]").',
        'write the list without the images that are broken or missing, instead of none; they are '
        'printed and counted, and the exit status is 0',
    )
    parser.add_argument('root', metavar='COCO_ROOT', help='folder with annotations and images')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['train2017', 'val2017'],
        help='published parts to take (default: train2017 val2017)',
    )
    parser.add_argument(
        '--min-area',
        type=int,
        default=MIN_AREA,
        help='labelled pixels that an image needs (default: %(default)s)',
    )
    return run_converter(
        parser,
        lambda args: prepare_coco(
            args.root,
            args.splits,
            min_area=args.min_area,
            workers=args.workers,
            dry_run=args.dry_run,
            partial=args.partial,
        ),
    )


if __name__ == '__main__':
    sys.exit(main())
