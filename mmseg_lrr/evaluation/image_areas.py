# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the metrics keep of an image: pixel counts of every output, class and band.

A measure is a function of a label map and the number of classes C; it returns a function of a
prediction, which counts: int64, shape ``(G, k, C)``, k numbers for each of G bands or groups of
pixels. In both maps, C marks the ignored pixels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmseg_lrr.ops.boundary_band import band_index
from mmseg_lrr.ops.class_areas import class_areas

#: Name of the network's final output, beside the levels' names ('32x', ...).
FINAL = 'final'
#: Name of the prediction that is refined, where one is.
COARSE = 'coarse'

_LEVEL_FIELD = 'pred_sem_seg_'

Count = Callable[[np.ndarray], np.ndarray]
Measure = Callable[[np.ndarray, int], Count]


@dataclass(frozen=True)
class ImageAreas:
    """Pixel counts of one image by one measure.

    Attributes:
        outputs: Names of the outputs counted: levels coarse to fine, then :data:`FINAL`.
        classes: The classes that occur, shape ``(P,)``: most images show a few of many, and a
            metric holds the counts of every image until the end.
        areas: Int64 counts, shape ``(outputs, G, k, P)``.
    """

    outputs: tuple[str, ...]
    classes: np.ndarray
    areas: np.ndarray


def label_map(data_sample: dict, field: str = 'pred_sem_seg') -> np.ndarray:
    """Return the ``(H, W)`` map of a data sample's field."""
    return data_sample[field]['data'][0].cpu().numpy()


def fineness(level: str) -> float:
    """Sort key of levels' names, coarse to fine; the prediction that is refined comes first."""
    return -math.inf if level == COARSE else -int(level.removesuffix('x'))


def predictions(data_sample: dict) -> dict[str, np.ndarray]:
    """List the predictions that a data sample carries.

    Args:
        data_sample: A ``SegDataSample`` as a dict. ``pred_sem_seg`` is the final output; any
            ``pred_sem_seg_{stride}x`` beside it is a level's, ``pred_sem_seg_coarse`` that of
            a network that is refined.

    Returns:
        Name -> integer map ``(H, W)``: levels coarse to fine, then :data:`FINAL`.
    """
    levels = [name.removeprefix(_LEVEL_FIELD) for name in data_sample
              if name.startswith(_LEVEL_FIELD)]
    levels.sort(key=fineness)
    maps = {level: label_map(data_sample, _LEVEL_FIELD + level) for level in levels}
    return {**maps, FINAL: label_map(data_sample)}


def trimap_counts(label: np.ndarray, num_classes: int, widths: Sequence[int] = (),
                  boundaries: str = 'labels') -> Count:
    """Measure the bands around the boundaries of the label map, and the rest of the image.

    Group i is the pixels of band i (:func:`~mmseg_lrr.ops.boundary_band.band_index`) that are in no
    narrower band; the last group is the rest. Ignored pixels are in none, so the sum over the
    groups is the whole image. Counts as :func:`~mmseg_lrr.ops.class_areas.class_areas`, k = 3.
    """
    num_groups = len(widths) + 1
    group = band_index(label, widths, boundaries, ignore_index=num_classes)
    group[label == num_classes] = num_groups
    return partial(class_areas, label=label, group=group, num_classes=num_classes,
                   num_groups=num_groups)


def count_image(data_sample: dict, num_classes: int, ignore_index: int,
                measures: Sequence[Measure] = (trimap_counts, )) -> list[ImageAreas]:
    """Count one image's pixels by measure, output, band and class.

    Args:
        data_sample: A ``SegDataSample`` as a dict, with ``gt_sem_seg`` and predictions (see
            :func:`predictions`), all of the original image's size.
        num_classes: Number of classes.
        ignore_index: Label of the pixels that never count.
        measures: What to count; by default the pixels of the whole image.

    Raises:
        ValueError: A map holds a class that does not exist, or a prediction is not of the ground
            truth's size. The message names the file.
    """
    name = data_sample.get('img_path')
    label = label_map(data_sample, 'gt_sem_seg')
    ignored = label == ignore_index
    known = np.where(ignored, 0, label)
    # A class out of range would be counted as another one.
    if known.min() < 0 or known.max() >= num_classes:
        wrong = known.min() if known.min() < 0 else known.max()
        raise ValueError(f'the ground truth {data_sample.get("seg_map_path") or name} holds the '
                         f'class {wrong}, expected 0..{num_classes - 1} or {ignore_index} '
                         '(ignored)')
    dtype = np.min_scalar_type(num_classes)
    label = known.astype(dtype)
    label[ignored] = num_classes
    maps = predictions(data_sample)
    for output, prediction in maps.items():
        if prediction.shape != label.shape or prediction.max() >= num_classes:
            raise ValueError(
                f'the {output} prediction of {name} is of size {prediction.shape} with classes up '
                f'to {prediction.max()}, expected {label.shape} and 0..{num_classes - 1}')
        maps[output] = prediction.astype(dtype)
        maps[output][ignored] = num_classes
    images = []
    for measure in measures:
        counts = np.stack(list(map(measure(label, num_classes), maps.values())))
        classes = np.flatnonzero(counts.any(axis=(0, 1, 2)))
        images.append(ImageAreas(tuple(maps), classes, counts[..., classes]))
    return images


def sum_areas(images: Sequence[ImageAreas], num_classes: int) -> np.ndarray:
    """Add up the counts of a data set.

    Args:
        images: All with the same outputs, by one measure.
        num_classes: Number of classes, C.

    Returns:
        int64 counts of shape ``(outputs, G, k, C)``, in the order of the images' ``outputs``.

    Raises:
        ValueError: There are no images.
    """
    if not images:
        raise ValueError('no image was evaluated: there is nothing to average')
    total = np.zeros((*images[0].areas.shape[:-1], num_classes), dtype=np.int64)
    for image in images:
        total[..., image.classes] += image.areas
    return total
