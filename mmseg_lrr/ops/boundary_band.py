# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Bands ("trimaps") of given widths around the boundaries of a label map.

For every pixel, the narrowest of several bands that holds it; one distance map answers that for
all widths. Distances are Euclidean, between pixel centres, in pixels of the label map.
"""

from collections.abc import Sequence

import cv2
import numpy as np

#: What a band can be drawn around: every change of label, or the void (ignored) regions.
BOUNDARIES = ('labels', 'void')


def label_boundaries(labels: np.ndarray) -> np.ndarray:
    """Mark both pixels of every 4-neighbour pair whose labels differ.

    The ignore index is a label like any other here, so the rim of an ignored region is a boundary.

    Args:
        labels: Integer label map, shape ``(H, W)``.

    Returns:
        Boolean map, shape ``(H, W)``; False everywhere for a map of one label.
    """
    marked = np.zeros(labels.shape, dtype=bool)
    changes = labels[1:] != labels[:-1]
    marked[1:] |= changes
    marked[:-1] |= changes
    changes = labels[:, 1:] != labels[:, :-1]
    marked[:, 1:] |= changes
    marked[:, :-1] |= changes
    return marked


def distance_to(targets: np.ndarray) -> np.ndarray:
    """Measure how far each pixel is from the nearest target pixel.

    Args:
        targets: Boolean map, shape ``(H, W)``.

    Returns:
        float32 map of Euclidean distances in pixels, shape ``(H, W)``: 0 at the targets, infinite
        everywhere where there is no target.
    """
    if not targets.any():
        # cv2 gives some large finite number then.
        return np.full(targets.shape, np.inf, dtype=np.float32)
    elsewhere = np.logical_not(targets).view(np.uint8)
    return cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def band_index(
    labels: np.ndarray,
    widths: Sequence[int],
    boundaries: str = 'labels',
    ignore_index: int = 255,
) -> np.ndarray:
    """Find the narrowest band that holds each pixel.

    * ``boundaries='labels'``: a pixel is in the band of width w when its distance to the nearest
      boundary pixel (:func:`label_boundaries`) is **< w**. Width 1 is the boundary pixels
      themselves.
    * ``boundaries='void'``: a pixel that is not ignored is in the band of width w when its distance
      to the nearest ignored pixel is **<= w** ("within w pixels of the void region"). Width 1 is
      the pixels that touch the region by an edge.

    A map without boundaries (or without ignored pixels) has empty bands. Bands are exact up to a
    width of 800 pixels; the rim of a wider one is as exact as cv2's single-precision distances.

    Args:
        labels: Integer label map, shape ``(H, W)``.
        widths: Band widths in pixels, each >= 1, ascending.
        boundaries: One of :data:`BOUNDARIES`.
        ignore_index: Label of the void regions.

    Returns:
        Integer map, shape ``(H, W)``: ``i`` where ``widths[i]`` is the narrowest width whose band
        holds the pixel, ``len(widths)`` where none does. With ``boundaries='labels'`` ignored
        pixels get the index of their place like any other.
    """
    # One more value than bands: the caller's groups may need it.
    index = np.zeros(labels.shape, dtype=np.min_scalar_type(len(widths) + 1))
    if not widths:
        return index
    # Distances are roots of whole numbers, so d < w is d * d <= w * w - 1. A limit half-way
    # between two such squares leaves nothing to the rounding of cv2's square root.
    if boundaries == 'labels':
        distance, half = distance_to(label_boundaries(labels)), -0.5
    else:
        void = labels == ignore_index
        distance, half = distance_to(void), 0.5
        distance[void] = np.inf
    for width in widths:
        # float32 like the distances: a float64 limit would have NumPy compare in float64.
        index += distance >= np.float32(np.sqrt(width * width + half))
    return index
