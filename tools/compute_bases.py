# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Compute class basis functions from the training label maps of a config."""

from __future__ import annotations

import argparse
from pathlib import Path

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_lrr.datasets.class_bases import (
    compute_class_bases,
    dataset_class_names,
    save_class_bases,
)
from mmseg_lrr.datasets.label_maps import LabelMaps


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Compute class basis functions from the training label maps of a config '
        '(train_dataloader.dataset) and write them as float32 (num_classes, K, 32, 32).'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('out', type=Path, help='file to write, .npy')
    parser.add_argument('--patches', type=int, default=10_000, help='patches of a class')
    parser.add_argument('--seed', type=int, default=0, help="seed of the patches' places")
    parser.add_argument(
        '--num-bases',
        type=int,
        help="basis functions of a class; default: the config's decode head's, else 10",
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='config settings to override, key=value'
    )
    args = parser.parse_args()
    if args.out.suffix != '.npy':
        parser.error(f'out must end in .npy, got {args.out}')
    for name in ('patches', 'num_bases'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be positive, got {value}')
    if args.seed < 0:
        parser.error(f'--seed must not be negative, got {args.seed}')
    return args


def main() -> None:
    args = parse_args()
    config = Config.fromfile(args.config)
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    if 'train_dataloader' not in config:
        raise SystemExit(f'{args.config} has no train_dataloader')
    init_default_scope(config.get('default_scope', 'mmseg'))

    head = config.get('model', {}).get('decode_head', {})
    if isinstance(head, list):
        head = head[-1]
    dataset = DATASETS.build(config.train_dataloader.dataset)
    num_classes = head.get('num_classes') or len(dataset.metainfo.get('classes') or ())
    if num_classes == 0:
        raise SystemExit(f'{args.config}: neither model.decode_head nor the data set says classes')
    bases = compute_class_bases(
        LabelMaps(dataset),
        dataset_class_names(dataset, num_classes),
        args.num_bases or head.get('num_bases', 10),
        num_patches=args.patches,
        seed=args.seed,
    )
    save_class_bases(args.out, bases)
    print(f'wrote {args.out}: {bases.dtype} {bases.shape}')


if __name__ == '__main__':
    main()
