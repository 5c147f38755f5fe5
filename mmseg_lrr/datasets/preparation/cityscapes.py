# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Cityscapes' labelIds as the trainIds that networks learn, fine and coarse annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmseg_lrr.evaluation.metrics.submission import CITYSCAPES_LABEL_IDS

from .label_job import IGNORED, LabelJob, read_png
from .name_lists import safe_name, write_names
from .run_jobs import Report, check_counts, run_jobs

#: Images with annotations, by kind and split, of the published data set.
PUBLISHED = {
    'gtFine/train': 2975,
    'gtFine/val': 500,
    'gtCoarse/train': 2975,
    'gtCoarse/val': 500,
    'gtCoarse/train_extra': 19998,
}

#: What networks are trained and tested on: always expected, and expected if the extra images or
#: their annotations are there.
FINE_PARTS = ('gtFine/train', 'gtFine/val')
COARSE_PART = 'gtCoarse/train_extra'

_NUM_LABEL_IDS = 34


def train_id_table() -> np.ndarray:
    """TrainId of each labelId: ``(256, )`` uint8, 255 for those that are not learnt."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(CITYSCAPES_LABEL_IDS)] = np.arange(len(CITYSCAPES_LABEL_IDS))
    return table


@dataclass(frozen=True)
class CityscapesLabels(LabelJob):
    """Label map of one frame.

    Attributes:
        source: Its ``*_labelIds.png``.
    """

    source: Path

    allowed: ClassVar[frozenset[int]] = frozenset(range(len(CITYSCAPES_LABEL_IDS))) | {IGNORED}

    def labels(self) -> np.ndarray:
        """Turn labelIds into trainIds."""
        label_ids = read_png(self.source)
        # 255 is how 8 bits hold -1, the licence plate's.
        strange = np.unique(label_ids[(label_ids >= _NUM_LABEL_IDS) & (label_ids != IGNORED)])
        if strange.size:
            raise ValueError(f'{self.source} has values {strange[:5].tolist()}, no labelIds')
        return train_id_table()[label_ids]


def frames(folder: Path, suffix: str) -> dict[str, Path]:
    """Find the files of a split.

    Args:
        folder: Folder with one folder a city.
        suffix: What ends the file's name, after the frame's.

    Returns:
        ``'<city>/<frame>'`` -> file, sorted.
    """
    found = {}
    for path in sorted(folder.glob(f'*/*{suffix}')):
        frame = safe_name(path.name[: -len(suffix)], path.parent)
        found[f'{safe_name(path.parent.name, folder)}/{frame}'] = path
    return found


def prepare_cityscapes(
    root: str | Path,
    parts: Sequence[str] | None = None,
    *,
    workers: int,
    dry_run: bool = False,
    partial: bool = False,
) -> Report:
    """Write ``*_labelTrainIds.png`` beside each ``*_labelIds.png``, where the toolbox looks.

    With the coarse annotations of ``train_extra`` it also writes the list
    ``ImageSets/coarse_train_extra.txt`` (``<city>/<frame>``, one a line) of the frames that have
    no fine ones.

    Args:
        root: Folder of Cityscapes as published: ``leftImg8bit``, ``gtFine``, ``gtCoarse``.
        parts: Which annotations to convert, out of :data:`PUBLISHED`. If None, those of
            :data:`FINE_PARTS`, and :data:`COARSE_PART` if its images or annotations are there; a
            missing one is among the problems.
        workers: Number of processes.
        dry_run: Check everything, write nothing.
        partial: Accept other numbers of frames than the published ones.

    Returns:
        What was done and found.

    Raises:
        FileNotFoundError: If the folder of a part in ``parts`` is missing, or none is there.
        ValueError: If a part is not known.
    """
    root = Path(root)
    report = Report(dry_run=dry_run)
    if parts is None:
        expected = list(FINE_PARTS)
        if (root / COARSE_PART).is_dir() or (root / 'leftImg8bit' / 'train_extra').is_dir():
            expected.append(COARSE_PART)
        parts = [part for part in expected if (root / part).is_dir()]
        if not parts:
            raise FileNotFoundError(f'{root} has none of the folders {", ".join(expected)}')
        report.problems.extend(
            f'{part}: the folder {root / part} is missing (--parts says which parts to convert)'
            for part in expected
            if part not in parts
        )
    for part in parts:
        if part not in PUBLISHED:
            raise ValueError(f'parts must be out of {", ".join(PUBLISHED)}, got {part!r}')
        if not (root / part).is_dir():
            raise FileNotFoundError(f'the folder {root / part} is missing')
    found = {}
    for part in parts:
        kind, split = part.split('/')
        labels = frames(root / part, f'_{kind}_labelIds.png')
        images = frames(root / 'leftImg8bit' / split, '_leftImg8bit.png')
        for name in sorted(set(images) - set(labels)):
            report.problems.append(f'{name}: {part} has no labels for {images[name]}')
        jobs = [
            CityscapesLabels(
                name=name,
                target=path.with_name(path.name.replace('_labelIds.png', '_labelTrainIds.png')),
                image=root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png',
                source=path,
            )
            for name, path in labels.items()
        ]
        found[part] = run_jobs(jobs, report, title=part, workers=workers)
    if not partial:
        check_counts(report, {part: len(names) for part, names in found.items()}, PUBLISHED)
    if COARSE_PART in found:
        fine = {
            path.name.removesuffix('_gtFine_labelIds.png')
            for path in (root / 'gtFine').glob('*/*/*_gtFine_labelIds.png')
        }
        coarse = [name for name in found[COARSE_PART] if name.split('/')[1] not in fine]
        write_names(root / 'ImageSets' / 'coarse_train_extra.txt', coarse, report)
    return report
