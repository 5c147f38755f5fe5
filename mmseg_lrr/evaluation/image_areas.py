# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the IoU metrics keep of an image: pixel counts of every output, class and band."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_lrr.ops.boundary_band import band_index
from mmseg_lrr.ops.class_areas import class_areas

#: Name of the network's final output, beside the levels' names ('32x', ...).
FINAL = 'final'
#: Name of the prediction that is refined, where one is.
COARSE = 'coarse'

_LEVEL_FIELD = 'pred_sem_seg_'


@dataclass(frozen=True)
class ImageAreas:
    """Pixel counts of one image.

    Attributes:
        outputs: Names of the outputs counted: levels coarse to fine, then :data:`FINAL`.
        classes: The classes that occur, shape ``(P,)``: most images show a few of many, and a
            metric holds the counts of every image until the end.
        areas: Int64 counts, shape ``(outputs, G, 3, P)``, see
            :func:`mmseg_lrr.ops.class_areas.class_areas`. Group i is the pixels of band i that are
            in no narrower band; the last group is the rest of the image. Ignored pixels are in
            none, so the sum over the groups is the whole image.
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


def count_image(
    data_sample: dict,
    num_classes: int,
    ignore_index: int,
    widths: Sequence[int] = (),
    boundaries: str = 'labels',
) -> ImageAreas:
    """Count one image's pixels by output, band and class.

    Args:
        data_sample: A ``SegDataSample`` as a dict, with ``gt_sem_seg`` and predictions (see
            :func:`predictions`), all of the original image's size.
        num_classes: Number of classes.
        ignore_index: Label of the pixels that never count.
        widths: Widths of the bands around the boundaries of the ground truth, in pixels,
            ascending; none for the whole image alone.
        boundaries: See :func:`mmseg_lrr.ops.boundary_band.band_index`.

    Raises:
        ValueError: A map holds a class that does not exist, or a prediction is not of the ground
            truth's size. The message names the file.
    """
    name = data_sample.get('img_path')
    label = label_map(data_sample, 'gt_sem_seg')
    num_groups = len(widths) + 1
    group = band_index(label, widths, boundaries, ignore_index)
    ignored = label == ignore_index
    group[ignored] = num_groups
    label = np.where(ignored, 0, label)
    # A class out of range would be counted as another one.
    if label.min() < 0 or label.max() >= num_classes:
        wrong = label.min() if label.min() < 0 else label.max()
        raise ValueError(f'the ground truth {data_sample.get("seg_map_path") or name} holds the '
                         f'class {wrong}, expected 0..{num_classes - 1} or {ignore_index} '
                         '(ignored)')
    outputs = predictions(data_sample)
    areas = []
    for output, prediction in outputs.items():
        if prediction.shape != label.shape or prediction.max() >= num_classes:
            raise ValueError(
                f'the {output} prediction of {name} is of size {prediction.shape} with classes up '
                f'to {prediction.max()}, expected {label.shape} and 0..{num_classes - 1}')
        areas.append(class_areas(prediction, label, group, num_classes, num_groups))
    counts = np.stack(areas)
    classes = np.flatnonzero(counts.any(axis=(0, 1, 2)))
    return ImageAreas(tuple(outputs), classes, counts[..., classes])


def sum_areas(images: Sequence[ImageAreas], num_classes: int) -> np.ndarray:
    """Add up the counts of a data set.

    Args:
        images: All with the same outputs and bands.
        num_classes: Number of classes, C.

    Returns:
        int64 counts of shape ``(outputs, G, 3, C)``, in the order of the images' ``outputs``.

    Raises:
        ValueError: There are no images.
    """
    if not images:
        raise ValueError('no image was evaluated: there is nothing to average')
    total = np.zeros((*images[0].areas.shape[:-1], num_classes), dtype=np.int64)
    for image in images:
        total[..., image.classes] += image.areas
    return total
