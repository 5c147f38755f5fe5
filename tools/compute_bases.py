# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Compute class basis functions from the training label maps of a config.

Reads train_dataloader.dataset and writes them as float32 (num_classes, K, 32, 32).
"""

import argparse
from pathlib import Path

from mmengine.config import Config, DictAction


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('out', type=Path, help='file to write, .npy')
    parser.add_argument('--patches', type=int, default=10_000,
                        help='patches per class (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help="seed of the patches' places")
    parser.add_argument('--num-bases', type=int, help=(
        "basis functions per class; default: the config's decode head's, else 10"))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        help='config settings to override, key=value')
    args = parser.parse_args()
    # Here, so that --help does not wait for torch; the package before mmseg.
    from mmseg_lrr.apis.needed_files import need_files
    from mmseg_lrr.datasets import class_bases, label_maps

    # isort: split
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    need_files(config, 'train')
    init_default_scope(config.get('default_scope', 'mmseg'))
    head = config.get('model', {}).get('decode_head', {})
    if isinstance(head, list):
        head = head[-1]
    dataset = DATASETS.build(config.train_dataloader.dataset)
    num_classes = head.get('num_classes') or len(dataset.metainfo['classes'])
    num_bases = head.get('num_bases', 10) if args.num_bases is None else args.num_bases
    bases = class_bases.compute_class_bases(
        label_maps.LabelMaps(dataset), class_bases.dataset_class_names(dataset, num_classes),
        num_bases, num_patches=args.patches, seed=args.seed)
    class_bases.save_class_bases(args.out, bases)
    print(f'wrote {args.out}: {bases.dtype} {bases.shape}')


if __name__ == '__main__':
    main()
