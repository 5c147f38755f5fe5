# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A made-up example, and how to find pictures in a sheet."""

import numpy as np

from mmseg_lrr.visualization.panels import Example

CLASSES = ('sky', 'road', 'car')
PALETTE = [(10, 200, 30), (240, 20, 60), (40, 50, 230)]
OUTPUTS = ('32x', '16x', '8x', 'ms', 'ms-crf')
WIDTH, HEIGHT = 40, 30
#: At this width the pictures of a sheet, within their frames, are as large as the examples.
CELL_WIDTH = WIDTH + 2


def example(seed: int = 0, *, labels: bool = True, masks: int = 1) -> Example:
    """Random labels in blocks, wrong in places; an unlabelled corner."""
    random = np.random.default_rng(seed)

    def blocks() -> np.ndarray:
        return random.integers(0, 3, (6, 8)).repeat(5, axis=0).repeat(5, axis=1)

    truth = blocks()
    truth[:5, :10] = 255
    image = random.integers(0, 256, (3, 4, 3), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    return Example(
        f'made_up_{seed}', image, truth if labels else None, {name: blocks() for name in OUTPUTS},
        {name: random.random((masks, HEIGHT, WIDTH)) for name in ('16x', '8x')} if masks else {})


def painted(labels: np.ndarray) -> np.ndarray:
    """Labels in the data set's colours, pixel by pixel; everything else is white."""
    picture = np.full((*labels.shape, 3), 255, np.uint8)
    for place in np.argwhere(labels < len(PALETTE)):
        picture[tuple(place)] = PALETTE[labels[tuple(place)]]
    return picture


def the_place(sheet: np.ndarray, picture: np.ndarray, within: int = 0) -> tuple[int, int]:
    """Row and column of the picture that a sheet holds exactly once, within a step of rounding."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet.astype(int), picture.shape)[:, :, 0]
    # A few pixels tell nearly all places apart.
    candidates = np.ones(windows.shape[:2], bool)
    for row, column in ((0, 0), (-1, -1), (11, 7), (3, 31), (23, 18)):
        candidates &= (np.abs(windows[:, :, row, column] - picture[row, column]) <= within
                       ).all(axis=-1)
    (place, ) = [place for place in map(tuple, np.argwhere(candidates).tolist())
                 if (np.abs(windows[place] - picture) <= within).all()]
    return place
