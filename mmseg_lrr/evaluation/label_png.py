# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Label maps as 8-bit PNG files."""

import os

import numpy as np
from PIL import Image

from mmseg_lrr.files import replacing


def voc_palette() -> np.ndarray:
    """Return PASCAL VOC's 256 colours, RGB, uint8 of shape ``(256, 3)``."""
    index = np.arange(256)[:, None]
    colours = np.zeros((256, 3), dtype=np.int64)
    # Index bits 0, 1, 2 go to red, green and blue, from the top bit down.
    for step in range(8):
        colours |= ((index >> (3 * step + np.arange(3))) & 1) << (7 - step)
    return colours.astype(np.uint8)


def save_label_png(
    path: str | os.PathLike, labels: np.ndarray, palette: np.ndarray | None = None
) -> None:
    """Write a label map.

    Args:
        path: File to make or replace.
        labels: Integers from 0 to 255, shape ``(H, W)``.
        palette: RGB colours, uint8 of shape ``(256, 3)``, for an indexed PNG (mode ``P``); None
            for a greyscale one (mode ``L``). The pixels hold the labels either way.

    Raises:
        ValueError: A label does not fit into 8 bits.
    """
    if labels.min() < 0 or labels.max() > 255:
        raise ValueError(f'{path}: an 8-bit PNG holds labels 0 to 255, got '
                         f'{labels.min()} to {labels.max()}')
    image = Image.fromarray(labels.astype(np.uint8))
    if palette is not None:
        image.putpalette(palette.tobytes())
    with replacing(path) as temporary:
        image.save(temporary, format='PNG')
