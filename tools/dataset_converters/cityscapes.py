# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Cityscapes as published -> labelTrainIds, fine and coarse."""

import sys

from command_line import PART_OF_DATA_SET, make_parser, run_converter

from mmseg_lrr.datasets.preparation import prepare_cityscapes
from mmseg_lrr.datasets.preparation.cityscapes import COARSE_PART, FINE_PARTS, PUBLISHED


def main() -> int:
    parser = make_parser(
        'Write labelTrainIds beside the labelIds, and the list of the coarsely annotated frames '
        'that have no fine labels (ImageSets/coarse_train_extra.txt).',
        PART_OF_DATA_SET,
    )
    parser.add_argument('root', metavar='CITYSCAPES_ROOT', help='folder with leftImg8bit, gtFine')
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=PUBLISHED,
        help=f'annotations to convert (default: {", ".join(FINE_PARTS)}, and {COARSE_PART} if '
        'leftImg8bit/train_extra is there)',
    )
    return run_converter(
        parser,
        lambda args: prepare_cityscapes(
            args.root,
            args.parts,
            workers=args.workers,
            dry_run=args.dry_run,
            partial=args.partial,
        ),
    )


if __name__ == '__main__':
    sys.exit(main())
