# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Search the settings of the fully connected CRF on a few validation images.

Tries every combination of the grid, and the published settings; prints the best first. The network
sees each image once. Put the best into the config:
tta_model = dict(type='LRRTTAModel', crf=dict(type='DenseCRF', bilateral_weight=4, ...)).
"""

import argparse
import warnings

from mmengine.config import Config, DictAction


def parse_values(word: str) -> tuple[str, tuple[float, ...]]:
    """Read ``name=value,value,...``."""
    name, _, values = word.partition('=')
    return name, tuple(
        int(value) if value.isdigit() else float(value) for value in values.split(','))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file; its test set must have labels')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--images', type=int, default=10, metavar='N',
                        help='images, evenly spaced over the test set (default: %(default)s)')
    parser.add_argument('--grid', nargs='+', type=parse_values, metavar='NAME=VALUE,...',
                        help='values to combine, e.g. bilateral_weight=3,5 (default: some of each '
                        "setting of the bilateral kernel, around DeepLab's)")
    parser.add_argument('--preset', default='deeplab_v2_vgg16', help='where settings come from '
                        'that are not in the grid (default: %(default)s)')
    parser.add_argument('--aug-test', action='store_true',
                        help='tune for the CRF after multi-scale testing')
    parser.add_argument('--out', metavar='FILE.json', help='write all trials to this file')
    parser.add_argument('--device', help='default: a GPU if there is one')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        help='settings of the config to override, key=value')
    args = parser.parse_args()
    # Here, so that --help does not wait for torch.
    from mmengine.device import get_device

    from mmseg_lrr.apis.needed_files import need_files
    from mmseg_lrr.models.post_processing.dense_crf import PRESETS
    from mmseg_lrr.reporting.tune_crf import tune_crf

    # Notes of mmseg to its developers; a reader of the table can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    need_files(cfg, 'test', checkpoint=args.checkpoint)
    trials = tune_crf(
        cfg, args.checkpoint, num_images=args.images, preset=args.preset,
        grid=dict(args.grid) if args.grid else None,
        tta=args.aug_test, device=args.device or get_device(), out=args.out)
    print(f'{"mIoU":>6} {"s/image":>8}  settings')
    for number, trial in enumerate(trials):
        if trial.settings is None or number < 20:
            text = ' '.join(f'{name}={value:g}' for name, value in (trial.settings or {}).items())
            text += ''.join(f'  ({name})' for name in PRESETS if PRESETS[name] == trial.settings)
            print(f'{trial.miou:6.2f} {trial.seconds_per_image:8.3f}  {text or "no CRF"}')


if __name__ == '__main__':
    main()
