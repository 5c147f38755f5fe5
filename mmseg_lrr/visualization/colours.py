# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Class indices and values to colours."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib import colormaps

IGNORED_COLOUR = (255, 255, 255)

#: Of boundary masks and other values in [0, 1].
VALUE_MAP = 'viridis'

#: Text and colour.
Key = tuple[str, tuple[int, int, int]]


def colour_table(palette: Sequence[Sequence[int]], ignore_index: int = 255) -> np.ndarray:
    """(256, 3) uint8: the colour of every label that a byte holds; white where it is no class."""
    colours = np.full((256, 3), IGNORED_COLOUR, np.uint8)
    colours[:len(palette)] = palette
    colours[min(ignore_index, 255)] = IGNORED_COLOUR
    return colours


def paint(labels: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int = 255
          ) -> np.ndarray:
    """(H, W) class indices to (H, W, 3) uint8 colours; ignored pixels are white."""
    return colour_table(palette, ignore_index)[np.minimum(labels, 255)]


def paint_values(values: np.ndarray) -> np.ndarray:
    """(H, W) values in [0, 1] to (H, W, 3) uint8 colours of :data:`VALUE_MAP`."""
    return colormaps[VALUE_MAP](values, bytes=True)[..., :3]


def fade(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 photograph to a grey one, from which colours and white stand out."""
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    return np.repeat(135 + grey * (90 / 255), 3, axis=2).astype(np.uint8)


def class_keys(shown: Iterable[np.ndarray], classes: Sequence[str],
               palette: Sequence[Sequence[int]], ignore_index: int = 255) -> list[Key]:
    """Legend of the classes that occur in label maps, in the order of their indices.

    Args:
        shown: (H, W) label maps.
        classes: Names of the classes.
        palette: Their RGB colours.
        ignore_index: Label of ignored pixels; they get an entry too where they occur.
    """
    found: set[int] = set()
    for labels in shown:
        found |= set(np.unique(labels).tolist())
    keys: list[Key] = [
        (classes[index], tuple(palette[index])) for index in sorted(found)
        if index < len(classes) and index != ignore_index]
    if any(index >= len(classes) or index == ignore_index for index in found):
        keys.append(('ignored', IGNORED_COLOUR))
    return keys
