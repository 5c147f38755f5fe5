# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures of what LRR does.

levels  image | ground truth | 32x | 16x | 8x | 4x | ms | ms-crf, a row for each image
masks   each level's boundary mask, and which pixels the level changed
errors  wrong pixels of every output, and the trimap, the pixels near boundaries
bases   the classes' basis functions, of a checkpoint or of a file
trimap  curves of scores near boundaries against the width, from the CSV files of several runs
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config, DictAction


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    network = argparse.ArgumentParser(add_help=False)
    network.add_argument('config', help='config file')
    network.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                         help='settings of the config to override, key=value')

    for name in ('levels', 'masks', 'errors'):
        command = commands.add_parser(name, parents=[network])
        command.add_argument('checkpoint', help='checkpoint file')
        command.add_argument('images', nargs='*', metavar='IMAGE_OR_FOLDER',
                             help="default: images of the config's test set, with their labels")
        command.add_argument('--labels', metavar='FOLDER', help='label maps of the images named, '
                             "as the config's data set has them")
        command.add_argument('--count', type=int, default=4, metavar='N',
                             help='images of the test set, evenly spaced (default: %(default)s)')
        command.add_argument('--out', type=Path, default=f'work_dirs/visualize/{name}',
                             help='folder, for one PNG an image, or one .png for all of them '
                             '(default: %(default)s)')
        command.add_argument('--cell-width', type=int, default=240, metavar='PIXELS',
                             help='width of each picture (default: %(default)s)')
        command.add_argument('--device', help='default: a GPU if there is one')
        if name == 'masks':
            command.add_argument('--classes', nargs='+', default=[], metavar='CLASS', help='show '
                                 'the masks of these classes (default: the maximum over classes)')
            continue
        command.add_argument('--single-scale', action='store_true',
                             help='neither multi-scale nor CRF: quicker')
        command.add_argument('--crf', metavar='PRESET', help='the CRF of ms-crf, one of the '
                             'settings in docs/testing.md (default: the one that the config names, '
                             'else deeplab_v2_vgg16)')
        if name == 'errors':
            command.add_argument('--width', type=int, default=5, metavar='PIXELS', help='width of '
                                 'the trimap around the boundaries (default: %(default)s)')

    bases = commands.add_parser('bases', parents=[network])
    source = bases.add_mutually_exclusive_group(required=True)
    source.add_argument('checkpoint', nargs='?', help='checkpoint file')
    source.add_argument('--file', metavar='FILE.npy',
                        help='file of tools/compute_bases.py, instead of a checkpoint')
    bases.add_argument('--level', metavar='LEVEL',
                       help='level of the checkpoint, e.g. 4x (default: the coarsest)')
    bases.add_argument('--classes', nargs='+', metavar='CLASS', help='show these classes alone')
    bases.add_argument('--out', default='work_dirs/visualize/bases.png',
                       help='PNG to write (default: %(default)s)')

    trimap = commands.add_parser('trimap')
    trimap.add_argument('csv', nargs='+', help='trimap_*.csv of tools/report.py, or csv_path of '
                        'the metric')
    trimap.add_argument('--names', nargs='+', metavar='NAME',
                        help="names of the runs (default: the files' names)")
    trimap.add_argument('--levels', nargs='+', metavar='LEVEL',
                        help='show these outputs alone, e.g. 4x ms-crf')
    trimap.add_argument('--measure', default='mIoU',
                        choices=('mIoU', 'boundary_mIoU', 'boundary_mF'),
                        help='column of the files (default: %(default)s, of the trimap)')
    trimap.add_argument('--out', default='work_dirs/visualize/trimap.png',
                        help='PNG to write (default: %(default)s)')

    args = parser.parse_args()
    if args.command == 'trimap' and args.names and len(set(args.names)) != len(args.csv):
        trimap.error(f'--names must be {len(args.csv)} different names, one for each file')
    return args


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

import numpy as np
from mmengine.device import get_device
from rich.progress import track

from mmseg_lrr.apis.needed_files import need_files
from mmseg_lrr.apis.testing import crf_config, default_crf
from mmseg_lrr.ops import checks
from mmseg_lrr.reporting.examples import ExampleMaker, checkpoint_bases, unread_test_set
from mmseg_lrr.visualization.panels import draw_errors, draw_levels, draw_masks, save_png
from mmseg_lrr.visualization.plots import plot_bases, plot_trimap_runs, read_trimap_csv

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm')


def short_names(paths: Sequence[str | Path]) -> list[str]:
    """Name files by their stems, with the folders before them where two are alike."""
    parts = [Path(path).with_suffix('').parts for path in paths]
    names = []
    for own in parts:
        length = next((n for n in range(1, len(own))
                       if sum(other[-n:] == own[-n:] for other in parts) == 1), len(own))
        names.append('_'.join(own[-length:]).strip('/_'))
    return names


def list_files(maker: ExampleMaker, paths: Sequence[str], labels: str | None) -> list[dict]:
    """List the images of files and folders, as :meth:`ExampleMaker.test_set` lists its own.

    An image's label map is the file that the data set would name, or else ``<name>.png``, in the
    folder ``labels`` or below it.
    """
    images = [file for path in map(Path, paths) for file in (
        sorted(item for item in path.rglob('*') if item.suffix.lower() in IMAGE_SUFFIXES)
        if path.is_dir() else [path])]
    if not images:
        raise FileNotFoundError(f'no image in {", ".join(paths)}')
    infos, dataset = [], maker.dataset
    for image in images:
        info = dict(img_path=str(image), seg_fields=[],
                    label_map=getattr(dataset, 'label_map', None),
                    reduce_zero_label=getattr(dataset, 'reduce_zero_label', False))
        if labels is not None:
            names = [f'{image.stem}.png']
            if dataset is not None:
                names.insert(
                    0, image.name.removesuffix(dataset.img_suffix) + dataset.seg_map_suffix)
            found = [file for name in names for file in sorted(Path(labels).rglob(name))]
            if not found:
                raise FileNotFoundError(f'no label map {" or ".join(names)} in {labels}')
            info['seg_map_path'] = str(found[0])
        infos.append(info)
    return infos


def draw_images(args: argparse.Namespace, cfg: Config) -> None:
    masks = args.classes if args.command == 'masks' else None
    outputs = args.command != 'masks' and not args.single_scale
    crf = (crf_config(args.crf) if args.crf else default_crf(cfg)) if outputs else None
    maker = ExampleMaker(cfg, args.checkpoint, device=args.device or get_device(),
                         multi_scale=outputs, crf=crf, masks=masks)
    infos = (list_files(maker, args.images, args.labels) if args.images
             else maker.test_set(args.count))
    draw = {'levels': draw_levels,
            'masks': partial(draw_masks, mask_names=masks or ['']),
            'errors': partial(draw_errors, width=getattr(args, 'width', None))}[args.command]
    made = (maker.make(info) for info in track(infos, description=args.command))
    if args.out.suffix.lower() == '.png':
        sheets = {args.out: list(made)}.items()
    else:
        names = short_names([info['img_path'] for info in infos])
        sheets = ((args.out / f'{name}.png', [example])
                  for name, example in zip(names, made, strict=True))
    for path, examples in sheets:
        save_png(path, draw(examples, maker.classes, maker.palette, cell_width=args.cell_width))
        print(f'wrote {path}')


def draw_bases(args: argparse.Namespace, cfg: Config) -> None:
    if args.file:
        bases, title = np.load(args.file), f'Basis functions in {Path(args.file).name}'
    else:
        levels = checkpoint_bases(args.checkpoint)
        if not levels:
            sys.exit(f'error: the checkpoint {args.checkpoint} has no basis functions')
        level = checks.one_of('level', args.level or next(iter(levels)), levels)
        bases = levels[level]
        title = f'Basis functions of level {level}, {Path(args.checkpoint).name}'
    classes = list(getattr(unread_test_set(cfg), 'metainfo', {}).get('classes') or ())
    if len(classes) != len(bases):
        classes = [str(label) for label in range(len(bases))]
    chosen = [classes.index(checks.one_of('class', name, classes))
              for name in args.classes or classes]
    plot_bases(args.out, bases[chosen], [classes[label] for label in chosen], title)
    print(f'wrote {args.out}')


def main() -> None:
    args = parse_args()
    # Notes of mmseg to its developers; a reader of the pictures can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    if args.command == 'trimap':
        names = args.names or [name.removeprefix('trimap_') for name in short_names(args.csv)]
        runs = {name: read_trimap_csv(path, args.measure)
                for name, path in zip(names, args.csv, strict=True)}
        plot_trimap_runs(args.out, runs, args.levels, args.measure)
        print(f'wrote {args.out}')
        return
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    need_files(cfg, *[] if getattr(args, 'images', True) else ['test'], checkpoint=args.checkpoint)
    (draw_bases if args.command == 'bases' else draw_images)(args, cfg)


if __name__ == '__main__':
    main()
