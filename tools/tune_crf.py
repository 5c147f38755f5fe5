# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Search the settings of the fully connected CRF on a few validation images.

Tries every combination of the grid, and the published settings; prints the best first. The network
sees each image once. Put the best into the config:
tta_model = dict(type='LRRTTAModel', crf=dict(type='DenseCRF', bilateral_weight=4, ...)).
"""

import argparse
import warnings

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import torch
from mmengine.config import Config, DictAction

from mmseg_lrr.apis.testing import DEFAULT_CRF_PRESET
from mmseg_lrr.apis.tune_crf import DEFAULT_GRID, format_trials, parse_grid, tune_crf
from mmseg_lrr.models.post_processing.dense_crf import PRESETS


def parse_args() -> argparse.Namespace:
    default_grid = ' '.join(
        f'{name}={",".join(map(str, values))}' for name, values in DEFAULT_GRID.items())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file; its test set must have labels')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--images', type=int, default=10, metavar='N',
                        help='images, evenly spaced over the test set (default: %(default)s)')
    parser.add_argument('--grid', nargs='+', metavar='NAME=VALUE,...', default=[],
                        help=f'values to combine (default: {default_grid})')
    parser.add_argument('--preset', choices=PRESETS, default=DEFAULT_CRF_PRESET,
                        help='where settings come from that are not in the grid (default: '
                        '%(default)s)')
    parser.add_argument('--aug-test', action='store_true',
                        help='tune for the CRF after multi-scale testing')
    parser.add_argument('--out', metavar='FILE.json', help='write all trials to this file')
    parser.add_argument('--device', default='cuda:0' if torch.cuda.is_available() else 'cpu',
                        help='default: %(default)s')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='settings of the config to override, key=value')
    args = parser.parse_args()
    try:
        args.grid = parse_grid(args.grid) or None
    except ValueError as error:
        parser.error(str(error))
    return args


def main() -> None:
    args = parse_args()
    # The toolbox's notes to its developers; a reader of the table can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    trials = tune_crf(
        cfg, args.checkpoint, num_images=args.images, grid=args.grid, preset=args.preset,
        tta=args.aug_test, device=args.device, out=args.out)
    print(format_trials(trials))


if __name__ == '__main__':
    main()
