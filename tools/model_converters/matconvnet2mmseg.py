# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Convert a MatConvNet network to a checkpoint.

A released LRR network (VGG-16), with the config that it needs beside it (DST.py), or
imagenet-vgg-verydeep-16.mat for the VGG16FC backbone (init_cfg=dict(type='Pretrained',
checkpoint=DST, prefix='backbone.')). On any error nothing is written.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', metavar='SRC.mat', type=Path, help='MATLAB file, v7 or v7.3')
    parser.add_argument('dst', metavar='DST.pth', type=Path, help='checkpoint to write')
    parser.add_argument('--window', type=int, help="side of the boundary mask's window, if the "
                        'file does not say it (9 for the VOC network, 17 for the Cityscapes one)')
    parser.add_argument('--config', type=Path, help='config to compare the network with '
                        '(default: the one that is written)')
    args = parser.parse_args()
    # Here, so that --help does not wait for torch.
    from mmseg_lrr.converters.config_check import config_differences
    from mmseg_lrr.converters.matconvnet import CONFIG_HEAD, from_matconvnet
    from mmseg_lrr.files import replacing

    config = Config.fromfile(args.config) if args.config else None
    try:
        conversion = from_matconvnet(args.src, window=args.window)
    except ValueError as error:
        sys.exit(f'{args.src}: {error}')
    text, beside = None, args.dst.with_suffix('.py')
    if 'lrr' in conversion.meta:
        if beside.exists() and not beside.read_text().startswith(CONFIG_HEAD):
            sys.exit(f'{beside}, where the config is to be written, is another file; choose '
                     f'another name than {args.dst}')
        text = conversion.config()
        config = config or Config.fromstring(text, '.py')
    for line in conversion.moves:
        print(line)
    warnings = conversion.warnings + (config_differences(config, conversion.meta) if config else [])
    for warning in warnings:
        print(f'WARNING: {warning}', file=sys.stderr)
    conversion.save(args.dst)
    for name, value in conversion.meta.get('lrr', conversion.meta.get('vgg')).items():
        print(f'{name}: {value}')
    count = sum(tensor.numel() for tensor in conversion.state_dict.values())
    print(f'wrote {args.dst}: {count / 1e6:.1f} million numbers')
    if text:
        with replacing(beside) as temporary:
            temporary.write_text(text)
        print(f'wrote {beside}; next: python tools/test.py {beside} {args.dst}')


if __name__ == '__main__':
    main()
