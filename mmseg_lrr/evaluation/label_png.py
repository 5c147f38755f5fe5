# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Label maps as 8-bit PNG files."""

import os

import numpy as np
from PIL import Image

from mmseg_lrr.replacing import replacing


def voc_palette() -> np.ndarray:
    """Make PASCAL VOC's colours: index bits 0, 1, 2 go to red, green, blue from the top bit down.

    Returns:
        uint8 array of shape ``(256, 3)``, RGB.
    """
    index = np.arange(256)[:, None]
    colours = np.zeros((256, 3), dtype=np.int64)
    for step in range(8):
        bits = (index >> (3 * step + np.arange(3))) & 1
        colours |= bits << (7 - step)
    return colours.astype(np.uint8)


def save_label_png(
    path: str | os.PathLike, labels: np.ndarray, palette: np.ndarray | None = None
) -> None:
    """Write a label map, first under a temporary name.

    Args:
        path: The file to make or replace.
        labels: Integers 0..255, shape ``(H, W)``.
        palette: uint8 RGB colours, shape ``(256, 3)``, for an indexed PNG (mode ``P``); None for a
            greyscale one (mode ``L``). The pixels hold the labels either way.

    Raises:
        ValueError: The map is not two-dimensional or holds other values.
    """
    if labels.ndim != 2 or labels.min() < 0 or labels.max() > 255:
        raise ValueError(
            f'{path}: a label PNG holds integers 0..255 of shape (H, W), got shape {labels.shape} '
            f'with values {labels.min()}..{labels.max()}'
        )
    image = Image.fromarray(labels.astype(np.uint8))
    if palette is not None:
        # Sets the mode to P and leaves the pixels as they are.
        image.putpalette(palette.tobytes())
    with replacing(path) as temporary:
        image.save(temporary, format='PNG')
