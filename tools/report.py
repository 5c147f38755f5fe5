# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test checkpoints in every way of the poster's table and write it.

Rows: each level (32x, 16x, 8x, 4x), ms (multi-scale), ms-crf. Columns of each checkpoint: mean IoU,
accuracies, mean IoU in the trimap around label boundaries, Boundary IoU, boundary F, seconds per
image.
Interrupted, it goes on where it was when it is started again. report.html is a page that needs no
other file: the table, the curves and some images, with a slider through the levels.
"""

import argparse
import re
import warnings
from pathlib import Path

from mmengine.config import Config, DictAction


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'what', nargs='+', metavar='CONFIG CHECKPOINT | CONFIG:CHECKPOINT',
        help='one config and checkpoint, or any number of pairs, which stand side by side')
    parser.add_argument('--out', default='work_dirs/report',
                        help='folder for the report (default: %(default)s)')
    parser.add_argument('--widths', type=int, nargs='+', default=[1, 3, 5, 10], metavar='PIXELS',
                        help='widths of the trimap and of Boundary IoU, distances of boundary F '
                        '(default: 1 3 5 10)')
    parser.add_argument('--crf', metavar='PRESET', help='the CRF of ms-crf, one of the settings in '
                        "docs/testing.md (default: the config's own, else deeplab_v2_vgg16)")
    parser.add_argument('--absent', choices=('skip', 'zero'), default='skip',
                        help='a class that is in neither prediction nor ground truth is left out '
                        'of the mean or counts 0 (default: %(default)s)')
    parser.add_argument('--limit', type=int, metavar='N', help='test the first N images only')
    parser.add_argument('--images', type=int, default=4, metavar='N',
                        help='images to show on the page, evenly spaced (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='settings to override in every config, key=value')
    args = parser.parse_args()
    pairs = [re.fullmatch(r'(.+?\.(?:py|json|ya?ml)):(.+)', word) for word in args.what]
    if all(pairs):
        pairs = [pair.groups() for pair in pairs]
    elif len(args.what) == 2 and not any(pairs):
        pairs = [tuple(args.what)]
    else:
        parser.error('expected CONFIG CHECKPOINT, or any number of CONFIG:CHECKPOINT')
    # Here, so that --help does not wait for torch.
    from mmseg_lrr.apis.needed_files import need_files
    from mmseg_lrr.reporting.report import make_report

    for config, checkpoint in pairs:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(args.cfg_options or {})
        need_files(cfg, 'test', checkpoint=checkpoint)
    # Notes of mmseg to its developers; a reader of the report can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    make_report(
        pairs, args.out, widths=args.widths, crf_preset=args.crf, absent=args.absent,
        limit=args.limit, images=args.images, cfg_options=args.cfg_options)
    print((Path(args.out) / 'report.md').read_text())
    print(f'Look at {args.out}/report.html')


if __name__ == '__main__':
    main()
