# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""PASCAL VOC 2012 and SBD in one folder of label maps, with the authors' split (spec section 4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from mmseg_lrr.converters.mat_file import read_mat
from mmseg_lrr.evaluation.label_png import voc_palette

from .label_job import IGNORED, LabelJob
from .name_lists import read_names, safe_name, write_names
from .run_jobs import Report, check_counts, run_jobs

NUM_CLASSES = 21

#: How many names the published lists have, and those made of them.
PUBLISHED = {
    'VOC train': 1464,
    'VOC val': 1449,
    'SBD train + val': 11355,
    'label maps': 12031,
    'lrr_train': 11295,
    'seg11valid': 736,
    'trainaug': 10582,
    'aug': 9118,
}


def seg11valid() -> list[str]:
    """Names of FCN's 736 validation images: VOC 2011 val without SBD's training images."""
    path = resources.files(__package__) / 'seg11valid.txt'
    return [safe_name(name, 'seg11valid.txt') for name in path.read_text('utf-8').split()]


def make_splits(
    voc_train: Collection[str],
    voc_val: Collection[str],
    sbd: Collection[str],
    valid: Collection[str],
) -> dict[str, set[str]]:
    """Make the splits out of the published lists.

    Args:
        voc_train: VOC's ``train.txt``.
        voc_val: VOC's ``val.txt``.
        sbd: SBD's ``train.txt`` and ``val.txt`` together.
        valid: The names of ``seg11valid``.

    Returns:
        By name of the list: ``lrr_train``, the authors' training images; ``seg11valid``, their
        validation images; ``trainaug``, the usual VOC12aug training images (VOC's train and all
        of SBD but VOC's val); ``aug``, those of them that are not VOC's own.
    """
    voc = set(voc_train) | set(voc_val)
    trainaug = (set(voc_train) | set(sbd)) - set(voc_val)
    return {
        'lrr_train': (voc | set(sbd)) - set(valid),
        'seg11valid': set(valid),
        'trainaug': trainaug,
        'aug': trainaug - set(voc_train),
    }


def _colour_classes() -> dict[tuple[int, int, int], int]:
    """VOC's colours and the classes that they mean."""
    palette = voc_palette().tolist()
    return {tuple(palette[label]): label for label in [*range(NUM_CLASSES), IGNORED]}


@dataclass(frozen=True)
class _VocLabels(LabelJob):
    allowed: ClassVar[frozenset[int]] = frozenset(range(NUM_CLASSES)) | {IGNORED}
    palette: ClassVar[np.ndarray] = voc_palette()


@dataclass(frozen=True)
class VocMask(_VocLabels):
    """VOC's own mask: an indexed PNG, whose colours say the class.

    Attributes:
        source: The PNG in ``SegmentationClass``.
    """

    source: Path

    def labels(self) -> np.ndarray:
        """Read the classes by colour: a tool may have numbered the palette anew."""
        return read_voc_mask(self.source)


@dataclass(frozen=True)
class SbdMask(_VocLabels):
    """SBD's mask: ``GTcls.Segmentation`` of a MATLAB file, without void contours.

    Attributes:
        source: The file in ``dataset/cls``.
    """

    source: Path

    def labels(self) -> np.ndarray:
        """Read the classes."""
        return read_sbd_mask(self.source)


def read_voc_mask(path: Path) -> np.ndarray:
    """Read a mask of VOC's ``SegmentationClass``.

    Args:
        path: An indexed PNG with VOC's colours, in any order.

    Returns:
        ``(H, W)`` uint8: 0 to 20, 255 for void.

    Raises:
        OSError, ValueError: If it is missing, damaged, not indexed, or has other colours.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing')
    try:
        with Image.open(path, formats=['PNG']) as image:
            image.load()
            mode, indices = image.mode, np.asarray(image)
            colours = np.reshape(image.getpalette() or [], (-1, 3)).astype(int).tolist()
    except (SyntaxError, EOFError, OSError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
    if mode != 'P':
        raise ValueError(f'{path} is a PNG of mode {mode}, expected P (indexed), as VOC publishes')
    classes = _colour_classes()
    table = np.zeros(256, np.uint8)
    for index in np.unique(indices).tolist():
        colour = tuple(colours[index]) if index < len(colours) else None
        if colour not in classes:
            raise ValueError(f'{path} has the colour {colour}, which is none of VOC\'s')
        table[index] = classes[colour]
    return table[indices]


def read_sbd_mask(path: Path) -> np.ndarray:
    """Read a mask of SBD's ``dataset/cls``.

    Args:
        path: A MATLAB file with the struct ``GTcls``.

    Returns:
        ``(H, W)`` uint8: 0 to 20.

    Raises:
        OSError, ValueError: If it is missing or damaged, or holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing')
    content = read_mat(path, ['GTcls'])['GTcls']
    entry = content[0] if isinstance(content, list) and len(content) == 1 else None
    labels = entry.get('Segmentation') if isinstance(entry, dict) else None
    if not isinstance(labels, np.ndarray) or labels.ndim != 2:
        raise ValueError(f'{path} has no GTcls.Segmentation that is a matrix')
    if labels.size == 0 or labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise ValueError(f'GTcls.Segmentation of {path} must hold 0..{NUM_CLASSES - 1}')
    return labels.astype(np.uint8)


def prepare_voc_sbd(
    voc_root: str | Path,
    sbd_root: str | Path,
    *,
    workers: int,
    dry_run: bool = False,
    partial: bool = False,
) -> Report:
    """Make ``SegmentationClassAug`` and the lists of names in VOC's folder.

    VOC's own mask serves where there is one, SBD's elsewhere. The lists, in
    ``ImageSets/Segmentation``, are those of :func:`make_splits`; VOC's own stay as they are.

    Args:
        voc_root: ``VOCdevkit/VOC2012`` as published: ``JPEGImages``, ``SegmentationClass``,
            ``ImageSets/Segmentation/{train,val}.txt``.
        sbd_root: ``benchmark_RELEASE`` as published: ``dataset/cls/*.mat``,
            ``dataset/{train,val}.txt``.
        workers: Number of processes.
        dry_run: Check everything, write nothing.
        partial: Accept lists of other lengths than the published ones; the validation images are
            then those of the 736 that VOC's lists name.

    Returns:
        What was done and found.

    Raises:
        FileNotFoundError: If a list is missing.
        ValueError: If a list is broken.
    """
    voc_root, dataset = Path(voc_root), Path(sbd_root) / 'dataset'
    lists = voc_root / 'ImageSets' / 'Segmentation'
    voc_train, voc_val = (read_names(lists / f'{split}.txt') for split in ('train', 'val'))
    sbd = {name for split in ('train', 'val') for name in read_names(dataset / f'{split}.txt')}
    voc = set(voc_train) | set(voc_val)
    valid = set(seg11valid())
    report = Report(dry_run=dry_run)
    if partial:
        valid &= voc
    for name in sorted(valid - set(voc_val)):
        report.problems.append(f'{name}: of seg11valid, but not in VOC\'s val list')
    splits = make_splits(voc_train, voc_val, sbd, valid)

    folder = voc_root / 'SegmentationClassAug'
    jobs = []
    for name in sorted(voc | sbd):
        places = dict(
            name=name, target=folder / f'{name}.png', image=voc_root / 'JPEGImages' / f'{name}.jpg'
        )
        if name in voc:
            jobs.append(VocMask(**places, source=voc_root / 'SegmentationClass' / f'{name}.png'))
        else:
            jobs.append(SbdMask(**places, source=dataset / 'cls' / f'{name}.mat'))
    done = run_jobs(jobs, report, title='VOC + SBD', workers=workers)
    if not partial:
        found = {
            'VOC train': len(voc_train),
            'VOC val': len(voc_val),
            'SBD train + val': len(sbd),
            'label maps': len(done),
            **{name: len(names) for name, names in splits.items()},
        }
        check_counts(report, found, PUBLISHED)
    for name, names in splits.items():
        write_names(lists / f'{name}.txt', names, report)
    return report
