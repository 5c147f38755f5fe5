# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Grey images where colours are expected."""

import numpy as np


def three_channels(image: np.ndarray) -> np.ndarray:
    """Repeat the channel of a grey image, ``(H, W)`` or ``(H, W, 1)``; leave others as they are."""
    image = image.reshape(*image.shape[:2], -1)
    return image.repeat(3, axis=2) if image.shape[2] == 1 else image
