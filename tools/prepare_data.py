# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Make the label maps and lists of names that the configs read out of the published archives.

Label maps that are there and right are kept, so it can be run again after an interruption, or to
verify. If something is missing or broken, each is printed on a line, no list of names is written,
and the exit status is 1.
"""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

#: Number of images that the published archives have, and lists made of them.
PUBLISHED = {
    'VOC train': 1464, 'VOC val': 1449, 'SBD train + val': 11355, 'label maps': 12031,
    'lrr_train': 11295, 'seg11valid': 736, 'trainaug': 10582, 'aug': 9118,
    'gtFine/train': 2975, 'gtFine/val': 500,
    'gtCoarse/train': 2975, 'gtCoarse/val': 500, 'gtCoarse/train_extra': 19998,
}
FINE_PARTS = ['gtFine/train', 'gtFine/val']
COARSE_PART = 'gtCoarse/train_extra'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--workers', type=int, default=os.cpu_count(),
                        help='processes (default: %(default)s)')
    common.add_argument('--dry-run', action='store_true',
                        help='read and check everything, write nothing')
    common.add_argument('--partial', action='store_true',
                        help='voc, cityscapes: do not compare numbers of images with the published '
                        'ones; coco: write the list without the images that are broken or missing')
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='dataset', required=True)
    voc = commands.add_parser('voc', parents=[common], help=(
        "SegmentationClassAug (VOC's own masks, SBD's elsewhere) and the lists lrr_train, "
        'seg11valid, trainaug and aug in VOC_ROOT'))
    voc.add_argument('voc_root', metavar='VOC_ROOT', type=Path, help='VOCdevkit/VOC2012')
    voc.add_argument('sbd_root', metavar='SBD_ROOT', type=Path, help='benchmark_RELEASE')
    coco = commands.add_parser('coco', parents=[common], help=(
        "COCO's instances of VOC's 20 classes as label maps (SegmentationClassVOC, 255 where "
        'classes overlap) and the list of images to train on (ImageSets/Segmentation/voc20.txt); '
        'needs pycocotools (pip install ".[coco]")'))
    coco.add_argument('root', metavar='COCO_ROOT', type=Path,
                      help='folder with annotations and images')
    coco.add_argument('--splits', nargs='+', default=['train2017', 'val2017'],
                      help='published parts to take (default: train2017 val2017)')
    # Meant to leave about 97k images, the number that the authors added; an estimate.
    coco.add_argument('--min-area', type=int, default=1000,
                      help='labelled pixels that an image needs (default: %(default)s)')
    cityscapes = commands.add_parser('cityscapes', parents=[common], help=(
        'labelTrainIds beside the labelIds, and the list of the coarsely annotated frames that '
        'have no fine labels (ImageSets/coarse_train_extra.txt)'))
    cityscapes.add_argument('root', metavar='CITYSCAPES_ROOT', type=Path,
                            help='folder with leftImg8bit, gtFine, gtCoarse')
    cityscapes.add_argument(
        '--parts', nargs='+', choices=[name for name in PUBLISHED if name.startswith('gt')],
        help=f'annotations to convert (default: {", ".join(FINE_PARTS)}, and {COARSE_PART} if its '
        'images or annotations are there)')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

import numpy as np
from mmengine.utils import track_parallel_progress, track_progress
from PIL import Image, ImageOps
from scipy.io import loadmat

from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette
from mmseg_lrr.evaluation.metrics.submission import CITYSCAPES_LABEL_IDS
from mmseg_lrr.files import replacing

IGNORED = 255
VOC_PALETTE = voc_palette()

#: What becomes of a label map: not there before, there but not what it should be, there as it
#: should be, not wanted (too little is labelled), and not to be had.
STATUSES = ('written', 'replaced', 'kept', 'left out', 'broken')

#: COCO's names of VOC's 20 classes, in VOC's order (1 to 20).
COCO_NAMES = ('airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
              'dining table', 'dog', 'horse', 'motorcycle', 'person', 'potted plant', 'sheep',
              'couch', 'train', 'tv')


class Job(NamedTuple):
    """A label map to make."""

    name: str  # of the image, for lists and messages
    target: Path  # PNG file to write
    image: Path  # photograph, which must be there, whole, and as large as the labels
    labels: Callable[[], np.ndarray | None]  # (H, W); None if the image is to be left out
    palette: np.ndarray | None = VOC_PALETTE  # colours of the PNG; None for a greyscale one

    def run(self, dry_run: bool) -> tuple[str, str]:
        """Make the label map if it is not there; return one of STATUSES and what is wrong."""
        try:
            labels = self.labels()
            if labels is None:
                return 'left out', ''
            # As training sees it: OpenCV turns it as its EXIF orientation says.
            width, height = ImageOps.exif_transpose(read_image(self.image)).size
            if labels.shape != (height, width):
                raise ValueError(
                    f'the labels are of {labels.shape[1]}x{labels.shape[0]} pixels, the image '
                    f'{self.image} of {width}x{height} (EXIF orientation included)')
        except Exception as error:
            return 'broken', f'{self.name}: {error}'
        status = 'written'
        if self.target.exists():
            with contextlib.suppress(ValueError):  # Damaged: replaced like one that differs.
                if np.array_equal(read_image(self.target), labels):
                    return 'kept', ''
            status = 'replaced'
        if not dry_run:
            save_label_png(self.target, labels, self.palette)
        return status, ''


@dataclass
class Plan:
    """What a data set needs; names whose label maps are left out stand in no list in the end."""

    jobs: list[Job] = field(default_factory=list)
    lists: dict[Path, Iterable[str]] = field(default_factory=dict)  # of names, to write
    counts: dict[str, int] = field(default_factory=dict)  # to compare with PUBLISHED
    problems: list[str] = field(default_factory=list)  # what is missing, one line each


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Let an error name the file; there is little that damaged ones do not raise."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} cannot be read: {error}') from error


def read_image(path: Path) -> Image.Image:
    """Read an image to its end."""
    with reading(path), Image.open(path) as image:
        image.load()
        return image


def read_names(path: Path) -> set[str]:
    """Read a list of names, one per line."""
    return set(path.read_text(encoding='utf-8').split())


def make_splits(train: set[str], val: set[str], sbd: set[str],
                valid: set[str]) -> dict[str, set[str]]:
    """Make the authors' splits and the usual VOC12aug (``aug``: what VOC itself does not have).

    ``sbd`` has SBD's ``train.txt`` and ``val.txt`` together, ``valid`` FCN's 736 validation images:
    VOC 2011 val without SBD's training images.
    """
    trainaug = (train | sbd) - val
    return {'lrr_train': (train | val | sbd) - valid, 'seg11valid': valid,
            'trainaug': trainaug, 'aug': trainaug - train}


def read_voc_mask(path: Path) -> np.ndarray:
    """Read VOC's own mask, by its colours: a tool may have numbered the palette anew."""
    colours = np.asarray(read_image(path).convert('RGB'))
    labels = np.full(colours.shape[:2], -1)
    for label in [*range(21), IGNORED]:
        labels[(colours == VOC_PALETTE[label]).all(axis=2)] = label
    if labels.min() < 0:
        raise ValueError(f"{path} has the colour {tuple(colours[labels < 0][0].tolist())}, which "
                         "is none of VOC's")
    return labels


def read_sbd_mask(path: Path) -> np.ndarray:
    """Read SBD's mask, which has no void contours."""
    with reading(path):
        return loadmat(path)['GTcls']['Segmentation'][0, 0]


def plan_voc(args: argparse.Namespace) -> Plan:
    """VOC's own mask where there is one, SBD's elsewhere, and the lists of :func:`make_splits`."""
    voc, dataset = args.voc_root, args.sbd_root / 'dataset'
    lists = voc / 'ImageSets' / 'Segmentation'
    train, val = read_names(lists / 'train.txt'), read_names(lists / 'val.txt')
    sbd = read_names(dataset / 'train.txt') | read_names(dataset / 'val.txt')
    valid = read_names(Path(__file__).with_name('seg11valid.txt'))
    if args.partial:
        valid &= train | val
    splits = make_splits(train, val, sbd, valid)
    jobs, own = [], train | val
    for name in sorted(own | sbd):
        if name in own:
            labels = partial(read_voc_mask, voc / 'SegmentationClass' / f'{name}.png')
        else:
            labels = partial(read_sbd_mask, dataset / 'cls' / f'{name}.mat')
        jobs.append(Job(name, voc / 'SegmentationClassAug' / f'{name}.png',
                        voc / 'JPEGImages' / f'{name}.jpg', labels))
    sizes = {name: len(names) for name, names in splits.items()}
    return Plan(
        jobs, {lists / f'{name}.txt': names for name, names in splits.items()},
        {'VOC train': len(train), 'VOC val': len(val), 'SBD train + val': len(sbd),
         'label maps': len(jobs), **sizes},
        [f"{name}: of seg11valid, but not in VOC's val list" for name in sorted(valid - val)])


def draw_instances(instances: Sequence[tuple[int, list | dict]], size: tuple[int, int],
                   min_area: int = 0) -> np.ndarray | None:
    """Draw instances, class and COCO's ``segmentation`` of each, into one label map.

    Pixels of one class have its label, however many instances (and crowds, which count as their
    class) cover them; pixels that instances of different classes cover are 255, and those of none
    are background, 0. Gives None if fewer than ``min_area`` pixels are neither.
    """
    from pycocotools import mask
    labels = np.zeros(size, np.uint8)
    for label, runs in instances:
        if isinstance(runs, list):
            runs = mask.merge(mask.frPyObjects(runs, *size))
        elif isinstance(runs['counts'], list):
            runs = mask.frPyObjects(runs, *size)
        covered = mask.decode(runs).astype(bool)
        labels[covered & (labels != 0) & (labels != label)] = IGNORED
        labels[covered & (labels == 0)] = label
    labelled = np.count_nonzero((labels > 0) & (labels != IGNORED))
    return labels if labelled >= min_area else None


def plan_coco(args: argparse.Namespace) -> Plan:
    """Label maps of VOC's classes, and the list of the images that have enough of them."""
    import pycocotools.mask  # noqa: F401 (if it is missing: before anything is read)
    jobs = []
    for split in args.splits:
        path = args.root / 'annotations' / f'instances_{split}.json'
        content = json.loads(path.read_text(encoding='utf-8'))
        ids = {category['name']: category['id'] for category in content['categories']}
        classes = {ids[name]: label for label, name in enumerate(COCO_NAMES, 1)}
        instances = defaultdict(list)
        for one in content['annotations']:
            if one['category_id'] in classes:
                instances[one['image_id']].append(
                    (classes[one['category_id']], one['segmentation']))
        for image in content['images']:
            if image['id'] in instances:
                name = f'{split}/{Path(image["file_name"]).stem}'
                jobs.append(Job(
                    name, args.root / 'SegmentationClassVOC' / f'{name}.png',
                    args.root / split / image['file_name'],
                    partial(draw_instances, instances[image['id']],
                            (image['height'], image['width']), args.min_area)))
    return Plan(jobs, {args.root / 'ImageSets/Segmentation/voc20.txt': [job.name for job in jobs]})


def read_train_ids(path: Path) -> np.ndarray:
    """Read labelIds and give the trainIds, 255 for those that are not learnt."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(CITYSCAPES_LABEL_IDS)] = np.arange(len(CITYSCAPES_LABEL_IDS))
    return table[np.asarray(read_image(path))]


def find_frames(folder: Path, suffix: str) -> dict[str, Path]:
    """Find the files ``<city>/<frame><suffix>`` of a split, by ``<city>/<frame>``."""
    return {f'{path.parent.name}/{path.name.removesuffix(suffix)}': path
            for path in sorted(folder.glob(f'*/*{suffix}'))}


def plan_cityscapes(args: argparse.Namespace) -> Plan:
    """TrainIds beside the labelIds, and the list of the coarse frames that have no fine labels."""
    plan, parts = Plan(), args.parts
    if parts is None:
        coarse = (args.root / COARSE_PART, args.root / 'leftImg8bit/train_extra')
        parts = [*FINE_PARTS, COARSE_PART] if any(map(Path.is_dir, coarse)) else FINE_PARTS
    for part in parts:
        if not (args.root / part).is_dir():
            plan.problems.append(f'{part}: the folder {args.root / part} is missing (--parts says '
                                 'which parts to convert)')
            continue
        kind, split = part.split('/')
        images = args.root / 'leftImg8bit' / split
        labels = find_frames(args.root / part, f'_{kind}_labelIds.png')
        plan.problems += [
            f'{name}: {part} has no labels for {path}'
            for name, path in find_frames(images, '_leftImg8bit.png').items() if name not in labels]
        plan.jobs += [
            Job(name, path.with_name(path.name.replace('_labelIds.png', '_labelTrainIds.png')),
                images / f'{name}_leftImg8bit.png', partial(read_train_ids, path), palette=None)
            for name, path in labels.items()]
        plan.counts[part] = len(labels)
        if part == COARSE_PART:
            fine = {name for path in (args.root / 'gtFine').glob('*')
                    for name in find_frames(path, '_gtFine_labelIds.png')}
            plan.lists[args.root / 'ImageSets/coarse_train_extra.txt'] = labels.keys() - fine
    return plan


def carry_out(plan: Plan, args: argparse.Namespace) -> int:
    """Make label maps and lists, print a report and return the exit status."""
    run = partial(Job.run, dry_run=args.dry_run)
    outcomes = (track_progress(run, plan.jobs) if args.workers == 1 else
                track_parallel_progress(run, plan.jobs, args.workers, chunksize=16))
    problems = plan.problems + [problem for _, problem in outcomes if problem]
    if not args.partial:
        problems += [f'{name}: {number}, but the published data set has {PUBLISHED[name]} '
                     '(--partial accepts a part of it)'
                     for name, number in plan.counts.items() if number != PUBLISHED[name]]
    made = {job.name for job, (status, _) in zip(plan.jobs, outcomes, strict=True)
            if status in ('written', 'replaced', 'kept')}
    if not made and not problems:
        problems = ['there is no label map']
    for problem in problems:
        print(problem)
    dry = ' (dry run: nothing written)' if args.dry_run else ''
    counts = Counter(status for status, _ in outcomes)
    print('label maps: ' + ', '.join(f'{counts[status]} {status}' for status in STATUSES) + dry)
    if args.dataset == 'coco' and args.partial and made and problems:
        print(f'broken or missing, and in no list: {len(problems)}')
        problems = []
    for path, names in plan.lists.items():
        names = sorted(made.intersection(names))
        # A list that lacks what is broken, or names it, would do harm long after.
        if not problems:
            print(f'list {path}: {len(names)} names{dry}')
            if not args.dry_run:
                with replacing(path) as temporary:
                    temporary.write_text(''.join(f'{name}\n' for name in names), encoding='utf-8')
        elif path.exists():
            print(f'list {path}: kept from an earlier run; it may name broken images')
    if problems:
        print(f'problems: {len(problems)}; no list was written')
    return int(bool(problems))


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    plan = {'voc': plan_voc, 'coco': plan_coco, 'cityscapes': plan_cityscapes}[args.dataset]
    return carry_out(plan(args), args)


if __name__ == '__main__':
    sys.exit(main())
