# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Pictures of what LRR does.

levels  image | ground truth | 32x | 16x | 8x | 4x | ms | ms+crf, one strip an image
masks   each level's boundary mask, and which pixels the level changed
errors  wrong pixels of every output, and the band around the boundaries (trimap)
bases   the classes' basis functions, of a checkpoint or of a file
trimap  curves of mean IoU against the band's width, from the CSV files of several runs
"""

import argparse
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import numpy as np
import torch
from mmengine.config import Config, DictAction
from rich.progress import track

from mmseg_lrr.apis.examples import ExampleMaker
from mmseg_lrr.apis.pictures import picture_names, read_bases
from mmseg_lrr.apis.testing import crf_config, default_crf
from mmseg_lrr.evaluation.trimap_curve import plot_trimap_runs, read_trimap_csv
from mmseg_lrr.models.post_processing.dense_crf import PRESETS
from mmseg_lrr.visualization import (
    Example,
    draw_bases,
    draw_errors,
    draw_levels,
    draw_masks,
    save_png,
)
from mmseg_lrr.visualization.sheet import CELL_WIDTH

#: None of these is meant as the name of a folder.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.gif', '.bmp', '.tif', '.tiff', '.webp', '.svg', '.pdf')


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='settings of the config to override, key=value')


def _add_image_options(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('images', nargs='*', metavar='IMAGE_OR_FOLDER',
                        help="default: images of the config's test set, with their labels")
    parser.add_argument('--labels', metavar='FOLDER',
                        help="label maps of the images named, as the config's data set has them")
    parser.add_argument('--count', type=int, default=4, metavar='N',
                        help='images of the test set, evenly spaced (default: %(default)s)')
    parser.add_argument('--out', default=f'work_dirs/visualize/{what}',
                        help='folder, for one PNG an image, or one .png for all of them '
                        '(default: %(default)s)')
    parser.add_argument('--cell-width', type=int, default=CELL_WIDTH, metavar='PIXELS',
                        help='width of each picture in the strip (default: %(default)s)')
    parser.add_argument('--device', default='cuda:0' if torch.cuda.is_available() else 'cpu',
                        help='default: %(default)s')
    _add_config_options(parser)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--single-scale', action='store_true',
                        help='neither multi-scale nor CRF: quicker')
    parser.add_argument('--crf', choices=PRESETS, metavar='PRESET',
                        help=f'the CRF of ms+crf: {", ".join(PRESETS)} (default: the one that the '
                        'config names, else deeplab_v2_vgg16)')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)

    levels = commands.add_parser('levels', help='what each output says')
    _add_image_options(levels, 'levels')
    _add_output_options(levels)

    masks = commands.add_parser('masks', help='boundary masks and what the levels changed')
    _add_image_options(masks, 'masks')
    masks.add_argument('--classes', nargs='+', default=[], metavar='CLASS',
                       help='show the masks of these classes (default: the maximum over classes)')

    errors = commands.add_parser('errors', help='wrong pixels and the trimap band')
    _add_image_options(errors, 'errors')
    _add_output_options(errors)
    errors.add_argument('--width', type=int, default=5, metavar='PIXELS',
                        help='width of the band around the boundaries (default: %(default)s)')

    bases = commands.add_parser('bases', help='basis functions, classes x K')
    bases.add_argument('config', help='config file, which names the classes')
    bases.add_argument('checkpoint', nargs='?', help='checkpoint file')
    bases.add_argument('--file', metavar='FILE.npy',
                       help='file of tools/compute_bases.py, instead of a checkpoint')
    bases.add_argument('--level', metavar='LEVEL',
                       help="level of the checkpoint, e.g. 4x (default: the coarsest)")
    bases.add_argument('--classes', nargs='+', default=[], metavar='CLASS',
                       help='show these classes alone')
    bases.add_argument('--out', default='work_dirs/visualize/bases.png',
                       help='PNG to write (default: %(default)s)')
    _add_config_options(bases)

    trimap = commands.add_parser('trimap', help='curves of several runs')
    trimap.add_argument('csv', nargs='+', help='trimap_*.csv of tools/report.py, or csv_path of '
                        'the metric')
    trimap.add_argument('--names', nargs='+', metavar='NAME',
                        help="what the runs are called (default: the files' names)")
    trimap.add_argument('--levels', nargs='+', metavar='LEVEL',
                        help='show these outputs alone, e.g. 4x ms-crf')
    trimap.add_argument('--out', default='work_dirs/visualize/trimap.png',
                        help='PNG to write (default: %(default)s)')

    args = parser.parse_args()
    if args.command == 'bases' and (args.checkpoint is None) == (args.file is None):
        bases.error('give either a checkpoint or --file')
    if args.command == 'bases' and args.file is not None and args.level is not None:
        bases.error('--level is of a checkpoint; a file has the same bases for all levels')
    suffix = Path(args.out).suffix.lower()
    if suffix != '.png' and (suffix in IMAGE_SUFFIXES or args.command in ('bases', 'trimap')):
        parser.error(f'--out must end in .png, got {args.out}')
    if getattr(args, 'labels', None) and not args.images:
        parser.error('--labels is of images that are named; those of the test set have their own')
    return args


def _read_config(args: argparse.Namespace) -> Config:
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def _draw_images(args: argparse.Namespace) -> None:
    cfg = _read_config(args)
    masks = args.classes if args.command == 'masks' else None
    outputs = args.command != 'masks' and not args.single_scale
    crf = None
    if outputs:
        crf = crf_config(args.crf) if args.crf else default_crf(cfg)
    maker = ExampleMaker(cfg, args.checkpoint, device=args.device, multi_scale=outputs, crf=crf,
                         masks=masks)
    infos = maker.files(args.images, args.labels) if args.images else maker.test_set(args.count)

    def draw(examples: list[Example]) -> np.ndarray:
        if args.command == 'levels':
            return draw_levels(examples, maker.classes, maker.palette, cell_width=args.cell_width)
        if args.command == 'masks':
            return draw_masks(examples, maker.classes, maker.palette,
                              mask_names=args.classes or [''], cell_width=args.cell_width)
        return draw_errors(examples, maker.classes, maker.palette, width=args.width,
                           cell_width=args.cell_width)

    made = (maker.make(info) for info in track(infos, description=args.command))
    if Path(args.out).suffix.lower() == '.png':
        _save(args.out, draw(list(made)))
        return
    names = picture_names([info['img_path'] for info in infos])
    for name, example in zip(names, made, strict=True):
        _save(Path(args.out) / f'{name}.png', draw([example]))


def _save(path: str | Path, picture: np.ndarray) -> None:
    save_png(path, picture)
    print(f'wrote {path}')


def _draw_bases(args: argparse.Namespace) -> None:
    bases, classes, title = read_bases(
        _read_config(args), checkpoint=args.checkpoint, file=args.file, level=args.level,
        only=args.classes)
    _save(args.out, draw_bases(bases, classes, title=title))


def _draw_trimap(args: argparse.Namespace) -> None:
    names = args.names or [name.removeprefix('trimap_') for name in picture_names(args.csv)]
    if len(names) != len(args.csv) or len(set(names)) != len(names):
        raise ValueError(f'--names must be {len(args.csv)} different names, one for each file, got '
                         f'{names}')
    runs = {name: read_trimap_csv(path) for name, path in zip(names, args.csv, strict=True)}
    plot_trimap_runs(args.out, runs, args.levels)
    print(f'wrote {args.out}')


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    'levels': _draw_images, 'masks': _draw_images, 'errors': _draw_images, 'bases': _draw_bases,
    'trimap': _draw_trimap,
}


def main() -> int:
    args = parse_args()
    # The toolbox's notes to its developers; a reader of the pictures can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    try:
        COMMANDS[args.command](args)
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        print(f'visualize.py {args.command}: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
