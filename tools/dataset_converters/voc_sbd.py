# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""PASCAL VOC 2012 and SBD as published -> SegmentationClassAug and the authors' split."""

import sys

from command_line import PART_OF_DATA_SET, make_parser, run_converter

from mmseg_lrr.datasets.preparation import prepare_voc_sbd


def main() -> int:
    parser = make_parser(
        'Make SegmentationClassAug (VOC\'s own masks, SBD\'s elsewhere) and the lists '
        'lrr_train, seg11valid, trainaug and aug in VOC_ROOT.',
        PART_OF_DATA_SET,
    )
    parser.add_argument('voc_root', metavar='VOC_ROOT', help='VOCdevkit/VOC2012')
    parser.add_argument('sbd_root', metavar='SBD_ROOT', help='benchmark_RELEASE')
    return run_converter(
        parser,
        lambda args: prepare_voc_sbd(
            args.voc_root,
            args.sbd_root,
            workers=args.workers,
            dry_run=args.dry_run,
            partial=args.partial,
        ),
    )


if __name__ == '__main__':
    sys.exit(main())
