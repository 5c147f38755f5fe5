# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the IoU metrics keep of one image: pixel counts of every output, class and band."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmseg_lrr.ops.boundary_band import band_index
from mmseg_lrr.ops.class_areas import class_areas

#: Name of the network's final output, beside the levels' names ('32x', ...).
FINAL = 'final'

_FIELD = 'pred_sem_seg'


@dataclass(frozen=True)
class ImageAreas:
    """Pixel counts of one image.

    Attributes:
        outputs: Names of the outputs counted: levels coarse to fine, then :data:`FINAL`.
        classes: The classes that occur, shape ``(P,)``. Most images show a few of many, and a
            metric holds one of these an image until the end.
        areas: int64 counts, shape ``(outputs, G, 3, P)``, see
            :func:`mmseg_lrr.ops.class_areas.class_areas`. Group i is the pixels of band i that are
            in no narrower band; the last group is the rest of the image. Ignored pixels are in
            none, so the sum over the groups is the whole image.
    """

    outputs: tuple[str, ...]
    classes: np.ndarray
    areas: np.ndarray


def image_name(data_sample: dict) -> str:
    """Name the file an error is about."""
    return str(data_sample.get('img_path') or 'an image in memory')


def class_count(dataset_meta: dict | None) -> int:
    """Return how many classes a data set has.

    Raises:
        ValueError: The metric was not told (``metric.dataset_meta = dict(classes=...)``).
    """
    if not dataset_meta or not dataset_meta.get('classes'):
        raise ValueError(
            f"dataset_meta must have the names of the classes under 'classes', got {dataset_meta!r}"
        )
    return len(dataset_meta['classes'])


def _label_map(data_sample: dict, field: str) -> np.ndarray:
    """Return a field's ``(H, W)`` map; its data are ``(1, H, W)``, on any device."""
    data = torch.as_tensor(data_sample[field]['data']).cpu().numpy()
    if data.ndim == 3 and data.shape[0] == 1:
        data = data[0]
    if data.ndim != 2 or data.dtype.kind not in 'iu':
        raise ValueError(
            f'{field} of {image_name(data_sample)} must hold integers of shape (1, H, W), got '
            f'{data.dtype} of shape {data.shape}'
        )
    return data


def _coarse_to_fine(level: str) -> tuple[int, str]:
    """Order '32x' before '16x', and whatever has no stride in its name last."""
    stride = re.fullmatch(r'(\d+)x', level)
    return (-int(stride.group(1)) if stride else 0, level)


def prediction_map(data_sample: dict, level: str = FINAL) -> np.ndarray:
    """Return the final prediction or a level's.

    Args:
        data_sample: A ``SegDataSample`` as a dict.
        level: :data:`FINAL`, or the name of a level that is there.

    Returns:
        Integer map of shape ``(H, W)``.
    """
    return _label_map(data_sample, _FIELD if level == FINAL else f'{_FIELD}_{level}')


def predictions(data_sample: dict) -> dict[str, np.ndarray]:
    """List the predictions a data sample carries.

    Args:
        data_sample: A ``SegDataSample`` as a dict. ``pred_sem_seg`` is the final output; any
            ``pred_sem_seg_<level>`` beside it is a level's.

    Returns:
        Name -> integer map ``(H, W)``: levels coarse to fine, then :data:`FINAL`.
    """
    prefix = f'{_FIELD}_'
    levels = [key[len(prefix):] for key in data_sample if key.startswith(prefix)]
    order = [*sorted(levels, key=_coarse_to_fine), FINAL]
    return {name: prediction_map(data_sample, name) for name in order}


def _check_range(what: str, classes: np.ndarray, num_classes: int, besides: str = '') -> None:
    """Raise ValueError unless all classes are in ``[0, num_classes)``."""
    lowest, highest = classes.min(), classes.max()
    if lowest < 0 or highest >= num_classes:
        wrong = lowest if lowest < 0 else highest
        expected = f'0..{num_classes - 1}{besides}'
        raise ValueError(f'{what} holds the class {wrong}, expected {expected}')


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
        ValueError: There is no ground truth, sizes differ, or a map holds a class that does not
            exist. The message names the file.
    """
    name = image_name(data_sample)
    if 'gt_sem_seg' not in data_sample:
        raise ValueError(
            f'{name} has no ground truth (gt_sem_seg). For a test set without labels use '
            'format_only=True, or the VOCSubmission or CityscapesSubmission metric'
        )
    label = _label_map(data_sample, 'gt_sem_seg')
    outputs = predictions(data_sample)
    num_groups = len(widths) + 1
    group = band_index(label, widths, boundaries, ignore_index)
    ignored = label == ignore_index
    group[ignored] = num_groups
    label = np.where(ignored, 0, label)
    source = data_sample.get('seg_map_path') or name
    _check_range(f'the ground truth {source}', label, num_classes, f' or {ignore_index} (ignored)')

    areas = []
    for output, prediction in outputs.items():
        if prediction.shape != label.shape:
            raise ValueError(
                f'the {output} prediction of {name} is of size {prediction.shape} (height, width), '
                f'its ground truth of {label.shape}'
            )
        _check_range(f'the {output} prediction of {name}', prediction, num_classes)
        areas.append(class_areas(prediction, label, group, num_classes, num_groups))
    counts = np.stack(areas)
    classes = np.flatnonzero(counts.any(axis=(0, 1, 2)))
    return ImageAreas(tuple(outputs), classes, counts[..., classes])


def append_image(images: list[ImageAreas], image: ImageAreas, name: str) -> None:
    """Append an image's counts to those of the images before it.

    Raises:
        ValueError: It has other outputs than they have, so they cannot be added up.
    """
    if images and image.outputs != images[0].outputs:
        raise ValueError(
            f'{name} has the outputs {list(image.outputs)}, the images before it '
            f'{list(images[0].outputs)}; store the same levels for every image'
        )
    images.append(image)


def sum_areas(images: Sequence[ImageAreas], num_classes: int) -> np.ndarray:
    """Add up the counts of a data set.

    Args:
        images: At least one image; all with the same outputs and bands.
        num_classes: Number of classes C.

    Returns:
        int64 counts of shape ``(outputs, G, 3, C)``, in the order of the images' ``outputs``.
    """
    total = np.zeros((*images[0].areas.shape[:-1], num_classes), dtype=np.int64)
    for image in images:
        total[..., image.classes] += image.areas
    return total
