# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What an image and its labels have to be before they are scaled."""

from typing import Any

import numpy as np

#: Largest side in pixels, and ratio to an image's own size, that a transform can be told to make: a
#: slip of the keyboard is refused when a config is read, not when memory runs out.
MAX_SIDE, MAX_RATIO = 2**16, 100


def check_image(results: dict[str, Any]) -> np.ndarray:
    """Return the image with three channels; say what is wrong with one that cannot have them.

    Args:
        results: of a pipeline, with ``img``: (H, W) or (H, W, 1), grey, or (H, W, 3); uint8 or
            floating point.

    Returns:
        (H, W, 3); a grey image's channel is repeated.

    Raises:
        TypeError: if it is of another type.
        ValueError: if it is of another shape or has no pixels.
    """
    image = results['img']
    name = results.get('img_path') or 'the image'
    if not isinstance(image, np.ndarray) or not (
            image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
        kind = getattr(image, 'dtype', type(image).__name__)
        raise TypeError(f'{name} must be an array of uint8 (0..255) or floating point, got {kind}')
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ValueError(f'{name} must be (H, W, 3), or (H, W) or (H, W, 1) if it is grey, with at '
                         f'least one pixel, got shape {results["img"].shape}')
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def check_label_size(results: dict[str, Any], labels: np.ndarray, size: tuple[int, ...]) -> None:
    """Refuse labels that are not of the image's size: scaled, they would fit and be wrong.

    Args:
        results: of a pipeline, to name the files.
        labels: (H, W).
        size: of the image, (height, width, ...).

    Raises:
        ValueError: naming the label file and both sizes.
    """
    if tuple(labels.shape) != tuple(size[:2]):
        raise ValueError(
            f'the labels {results.get("seg_map_path") or "in memory"} are of shape '
            f'{tuple(labels.shape)} (height, width), the image '
            f'{results.get("img_path") or "in memory"} of {tuple(size[:2])}')
