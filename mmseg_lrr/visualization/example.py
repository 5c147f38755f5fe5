# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One image and all that the pictures show of it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Example:
    """An image, its labels and what a network made of it, all at the image's size.

    Attributes:
        name: Of the image, as it stands in titles and file names.
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) class indices, or None where there is no ground truth.
        predictions: Name of an output (``32x``, ..., ``ms``, ``ms+crf``), in the order to show
            them, -> (H, W) class indices.
        masks: Name of a masked level -> its boundary mask, (M, H, W) in [0, 1]: one of the maximum
            over classes, or one for each class asked for.
        ignore_index: Label of pixels that do not count.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray | None
    predictions: dict[str, np.ndarray]
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    ignore_index: int = 255

    def valid(self) -> np.ndarray:
        """(H, W) bool: the pixels that count. The labels must be there."""
        return self.labels != self.ignore_index

    def wrong(self, output: str) -> np.ndarray:
        """(H, W) bool: the pixels that count and that an output gets wrong."""
        return self.valid() & (self.predictions[output] != self.labels)


def levels_of(example: Example) -> list[str]:
    """The outputs that are levels (``32x``, ...), coarse to fine."""
    return [name for name in example.predictions if name.endswith('x') and name[:-1].isdigit()]
