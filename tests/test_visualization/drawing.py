# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A made-up example, and how to find pictures in a sheet."""

import numpy as np

from mmseg_lrr.visualization import Example

CLASSES = ('sky', 'road', 'car')
PALETTE = [(10, 200, 30), (240, 20, 60), (40, 50, 230)]

#: Inner width of a picture in a sheet of this cell width is the examples' width.
WIDTH, HEIGHT = 40, 30
CELL_WIDTH = WIDTH + 2


def example(seed: int = 0, *, labels: bool = True, masks: int = 1) -> Example:
    """Random labels in blocks, wrong in places; an unlabelled corner."""
    random = np.random.default_rng(seed)

    def blocks() -> np.ndarray:
        return random.integers(0, 3, (6, 8)).repeat(5, axis=0).repeat(5, axis=1)

    truth = blocks()
    truth[:5, :10] = 255
    return Example(
        name=f'made_up_{seed}',
        image=random.integers(0, 256, (3, 4, 3), np.uint8).repeat(10, axis=0).repeat(10, axis=1),
        labels=truth if labels else None,
        predictions={name: blocks() for name in ('32x', '16x', '8x', 'ms', 'ms+crf')},
        masks={name: random.random((masks, HEIGHT, WIDTH)) for name in ('16x', '8x')}
        if masks else {})


def painted(labels: np.ndarray) -> np.ndarray:
    """Pixel by pixel, from the data set's colours; everything else is white."""
    picture = np.empty((*labels.shape, 3), np.uint8)
    for place in np.ndindex(labels.shape):
        label = labels[place]
        picture[place] = PALETTE[label] if label < len(PALETTE) else (255, 255, 255)
    return picture


def places(sheet: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """Top left corners of all exact copies of a picture."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet, picture.shape)[:, :, 0]
    # A few pixels tell nearly all places apart.
    candidates = np.ones(windows.shape[:2], bool)
    for row, column in ((0, 0), (-1, -1), (11, 7), (3, 31), (23, 18)):
        candidates &= (windows[:, :, row, column] == picture[row, column]).all(axis=-1)
    return [(int(row), int(column)) for row, column in np.argwhere(candidates)
            if (windows[row, column] == picture).all()]


def the_place(sheet: np.ndarray, picture: np.ndarray) -> tuple[int, int]:
    """Where a picture is that has to be in the sheet once."""
    (place, ) = places(sheet, picture)
    return place
