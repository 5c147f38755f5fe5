# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The released network in plain NumPy and SciPy, float64, from its MatConvNet parameters."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

FEATURES = {'32x': 'fc7', '16x': 'conv5_3', '8x': 'conv4_3', '4x': 'conv3_3'}
STAGES = (2, 2, 3, 3, 3)


def convolve(x: np.ndarray, filters: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(h, w, in) by filters (k, k, in, out), padded to the same size."""
    size = filters.shape[0]
    pad = size // 2
    height, width, _ = x.shape
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    y = np.zeros((height * width, filters.shape[3])) + bias.reshape(-1).astype(float)
    for row in range(size):
        for column in range(size):
            patch = padded[row : row + height, column : column + width]
            y += patch.reshape(height * width, -1) @ filters[row, column].astype(float)
    return y.reshape(height, width, -1)


def pool(x: np.ndarray) -> np.ndarray:
    """2x2 maxima; an odd size is rounded up."""
    height, width, channels = x.shape
    filled = np.full((height + height % 2, width + width % 2, channels), -np.inf)
    filled[:height, :width] = x
    return np.maximum.reduce([filled[i::2, j::2] for i in (0, 1) for j in (0, 1)])


def transposed(x: np.ndarray, filters: np.ndarray, step: int) -> np.ndarray:
    """Every input pixel stamps its filter, ``step`` apart; cropped by half a step all around.

    Args:
        x: (h, w, groups * K).
        filters: (k, k, 1, groups * K); the K channels of a group add up.
        step: The upsampling.
    """
    height, width, maps = x.shape
    size = filters.shape[0]
    stamped = np.zeros((step * (height - 1) + size, step * (width - 1) + size, maps))
    for i in range(height):
        for j in range(width):
            stamp = filters[:, :, 0].astype(float) * x[i, j]
            stamped[step * i : step * i + size, step * j : step * j + size] += stamp
    crop = step // 2
    return stamped[crop:-crop, crop:-crop]


def reconstruct(coefficients: np.ndarray, filters: np.ndarray, num_classes: int) -> np.ndarray:
    scores = transposed(coefficients, filters, 4)
    return scores.reshape(*scores.shape[:2], num_classes, -1).sum(axis=3)


def boundary_mask(scores: np.ndarray, window: int) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=2, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=2, keepdims=True)
    size = (window, window, 1)
    highest = maximum_filter(probabilities, size, mode='constant', cval=-np.inf)
    return highest - minimum_filter(probabilities, size, mode='constant', cval=np.inf)


def vgg(params: dict[str, np.ndarray], image: np.ndarray) -> dict[str, np.ndarray]:
    """The maps that the levels read, (h, w, channels), by VGG's name of the layer.

    Args:
        params: Weights in MatConvNet's layout, by their usual names.
        image: (H, W, 3), RGB minus the mean.
    """
    maps = {}
    x = image.astype(float)
    for stage, convolutions in enumerate(STAGES, start=1):
        for place in range(1, convolutions + 1):
            name = f'conv{stage}_{place}'
            x = np.maximum(convolve(x, params[name + 'f'], params[name + 'b']), 0)
        maps[name] = x
        x = pool(x)
    for name in ('fc6', 'fc7'):
        x = np.maximum(convolve(x, params[name + 'f'], params[name + 'b']), 0)
    maps['fc7'] = x
    return maps


def lrr(
    params: dict[str, np.ndarray], image: np.ndarray, num_classes: int, window: int | None
) -> dict[str, np.ndarray]:
    """Scores (h, w, classes) of every level that ``params`` has, coarse to fine."""
    maps = vgg(params, image)
    scores = {}
    coarser = None
    for level, feature in FEATURES.items():
        if f'deconv_{level}f' not in params:
            break
        name = f'bases_coef_{level}'
        coefficients = convolve(maps[feature], params[name + 'f'], params[name + 'b'])
        detail = reconstruct(coefficients, params[f'deconv_{level}f'], num_classes)
        if coarser:
            filters = params[f'dec_prediction_{coarser}_bil_x2f']
            upsampled = transposed(scores[coarser], filters, 2)
            mask = 1 if window is None else boundary_mask(upsampled, window)
            detail = upsampled + mask * detail
        scores[level] = detail
        coarser = level
    return scores
