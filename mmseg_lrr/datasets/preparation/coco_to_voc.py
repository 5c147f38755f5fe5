# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""COCO's instances as label maps of the 20 classes of PASCAL VOC (spec section 4)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from mmseg_lrr.evaluation.label_png import voc_palette
from mmseg_lrr.ops import checks

from .label_job import IGNORED, LabelJob
from .name_lists import safe_name, write_names
from .run_jobs import Report, run_jobs

#: COCO's names of the 20 classes, in VOC's order (1 to 20).
COCO_NAMES = (
    'airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'dining table', 'dog', 'horse', 'motorcycle', 'person', 'potted plant', 'sheep', 'couch',
    'train', 'tv',
)  # fmt: skip

#: Labelled pixels that an image needs. Meant to leave about 97k of COCO's 123,287 train + val
#: images, the number that the authors added; an estimate, not measured.
MIN_AREA = 1000

FOLDER = 'SegmentationClassVOC'


def _coco_mask() -> Any:
    """Import pycocotools when it is needed."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError(
            'COCO is read with pycocotools, which is not here; remedy: pip install ".[coco]"'
        ) from error
    return mask


@dataclass(frozen=True)
class CocoInstances(LabelJob):
    """The instances of one image.

    Attributes:
        size: ``(height, width)`` that the annotations are drawn for.
        instances: See :func:`draw_instances`.
        min_area: Labelled pixels below which the image is left out.
    """

    size: tuple[int, int]
    instances: tuple[tuple[int, Any, int], ...]
    min_area: int

    allowed: ClassVar[frozenset[int]] = frozenset(range(21)) | {IGNORED}
    palette: ClassVar[np.ndarray] = voc_palette()

    def labels(self) -> np.ndarray | None:
        """Draw the instances; None if too little is labelled."""
        labels = draw_instances(self.instances, self.size)
        labelled = np.count_nonzero((labels > 0) & (labels != IGNORED))
        return labels if labelled >= self.min_area else None


def draw_instances(
    instances: Sequence[tuple[int, Any, int]], size: tuple[int, int]
) -> np.ndarray:
    """Draw instances into one label map.

    Pixels of one class have its label, however many instances cover them; pixels that instances
    of different classes cover are 255, and those of none are background, 0. Crowds (which COCO
    writes as run lengths) count as their class.

    Args:
        instances: For each its class, 1 to 254, its ``segmentation`` as COCO writes it (a list of
            polygons, or run lengths) and the annotation's ``id``, for messages.
        size: ``(height, width)`` in pixels.

    Returns:
        ``(H, W)`` uint8.

    Raises:
        ValueError: If a segmentation is neither, or of another size.
    """
    labels = np.zeros(size, np.uint8)
    for label, segmentation, annotation in instances:
        try:
            covered = _covered(segmentation, size)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f'annotation {annotation}: {error}') from error
        labels[covered & (labels != 0) & (labels != label)] = IGNORED
        labels[covered & (labels == 0)] = label
    return labels


def _covered(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Which pixels a segmentation covers, ``(H, W)`` bool."""
    mask = _coco_mask()
    height, width = size
    if isinstance(segmentation, dict):
        if segmentation.get('size') != [height, width]:
            raise ValueError(f'run lengths of size {segmentation.get("size")}, image of {size}')
        counts = segmentation.get('counts')
        if isinstance(counts, list):
            lengths = counts
        elif isinstance(counts, str):
            lengths = run_lengths(counts)
        else:
            raise ValueError(f'run lengths must be a list or a string, got {type(counts).__name__}')
        # The library trusts these numbers.
        whole = all(isinstance(length, int) and length >= 0 for length in lengths)
        if not whole or sum(lengths) != height * width:
            raise ValueError(f'run lengths do not add up to the {height * width} pixels')
        runs = mask.frPyObjects({'size': list(size), 'counts': lengths}, height, width)
    elif isinstance(segmentation, list) and segmentation:
        for polygon in segmentation:
            if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
                raise ValueError('a polygon must be a list of at least three x, y pairs')
            points = np.array(polygon, dtype=float).reshape(-1, 2)
            if not np.isfinite(points).all():
                raise ValueError('a polygon has coordinates that are not finite')
            # The library draws what lies outside too, and fills the memory with it or crashes.
            if (points < (-width, -height)).any() or (points > (2 * width, 2 * height)).any():
                raise ValueError(f'a polygon leaves the image of {size} by more than its size')
        runs = mask.merge(mask.frPyObjects(segmentation, height, width))
    else:
        raise ValueError(
            f'a segmentation must be polygons or run lengths, got {segmentation!r:.60}'
        )
    return mask.decode(runs).astype(bool)


def run_lengths(text: str) -> list[int]:
    """Read run lengths that COCO's library has written as a string.

    A number is a sequence of characters with five bits each, the lowest first, and a sixth that
    says whether more follow; the last one's fifth bit is the sign. From the fourth on the numbers
    are differences to the one before last.

    Raises:
        ValueError: If it has other characters, or ends within a number.
    """
    lengths: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        # No image has more than 2**60 pixels: nothing that is whole goes on for so long.
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f'compressed run lengths have no {character!r} at that place')
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        if len(lengths) > 2:
            number += lengths[-2]
        lengths.append(number)
        number = shift = 0
    if shift:
        raise ValueError('compressed run lengths end within a number')
    return lengths


def read_instances(
    path: Path, image_folder: Path, target_folder: Path, min_area: int
) -> list[CocoInstances]:
    """Read one of COCO's ``instances_*.json``.

    Args:
        path: The file.
        image_folder: Folder of its images.
        target_folder: Folder for its label maps.
        min_area: See :class:`CocoInstances`.

    Returns:
        A job for each image with at least one instance of the 20 classes. Names begin with the
        image folder's.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no file of COCO's instances, or lacks one of the classes.
    """
    if not path.is_file():
        raise FileNotFoundError(f'the annotations {path} are missing')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        categories = {category['name']: category['id'] for category in content['categories']}
        missing = [name for name in COCO_NAMES if name not in categories]
        if missing:
            raise ValueError(f'it lacks the categories {", ".join(missing)}')
        classes = {categories[name]: label for label, name in enumerate(COCO_NAMES, 1)}
        instances = defaultdict(list)
        for annotation in content['annotations']:
            label = classes.get(annotation['category_id'])
            if label is not None:
                instances[annotation['image_id']].append(
                    (label, annotation['segmentation'], annotation['id'])
                )
        jobs = []
        for image in content['images']:
            if image['id'] in instances:
                file_name = safe_name(image['file_name'], path)
                stem = PurePosixPath(file_name).stem
                jobs.append(
                    CocoInstances(
                        name=f'{image_folder.name}/{stem}',
                        target=target_folder / f'{stem}.png',
                        image=image_folder / file_name,
                        size=tuple(
                            checks.integer(side, image[side], 1) for side in ('height', 'width')
                        ),
                        instances=tuple(instances[image['id']]),
                        min_area=min_area,
                    )
                )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        reason = f'it lacks the field {error}' if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is no file of COCO's instances: {reason}") from error
    return jobs


def prepare_coco(
    root: str | Path,
    splits: Sequence[str] = ('train2017', 'val2017'),
    *,
    min_area: int = MIN_AREA,
    workers: int,
    dry_run: bool = False,
    partial: bool = False,
) -> Report:
    """Make label maps of the 20 classes and the list of the images that have enough of them.

    Label maps go to ``SegmentationClassVOC/<split>/<image>.png``, the list (``<split>/<image>``,
    one a line) to ``ImageSets/Segmentation/voc20.txt``.

    Args:
        root: Folder of COCO as published: ``annotations/instances_<split>.json`` and
            ``<split>/*.jpg``.
        splits: Which of the published parts to take.
        min_area: Least number of labelled pixels of an image; 255 and background are not counted.
        workers: Number of processes.
        dry_run: Check everything, write nothing.
        partial: Leave broken and missing images out of the list, instead of writing none.

    Returns:
        What was done and found.

    Raises:
        ImportError: If pycocotools is missing.
        FileNotFoundError: If an annotation file is missing.
        ValueError: If an annotation file is broken.
    """
    _coco_mask()
    root = Path(root)
    checks.integer('min_area', min_area, 1)
    if len(set(splits)) < len(splits) or not splits:
        raise ValueError(f'splits must be different names, at least one, got {list(splits)}')
    report = Report(dry_run=dry_run)
    chosen = []
    for split in splits:
        safe_name(split, 'splits')
        jobs = read_instances(
            root / 'annotations' / f'instances_{split}.json', root / split,
            root / FOLDER / split, min_area,
        )  # fmt: skip
        chosen += run_jobs(jobs, report, title=f'COCO {split}', workers=workers)
    if partial:
        report.unlisted, report.problems = report.problems, []
    if not chosen and not report.problems:
        report.problems.append(f'no image has {min_area} labelled pixels')
    write_names(root / 'ImageSets' / 'Segmentation' / 'voc20.txt', chosen, report)
    return report
