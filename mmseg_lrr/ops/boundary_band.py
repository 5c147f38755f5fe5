# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Bands of given widths near the boundaries of a label map.

For every pixel, the narrowest of several bands that holds it: of those around all boundaries
("trimaps"; one distance map answers for all widths), or of its class's own. Distances are
Euclidean, between pixel centres, in pixels of the label map.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial import KDTree

#: What a band can be drawn around: every change of label, or the void (ignored) regions.
BOUNDARIES = ('labels', 'void')

# Rows of an image that are worked on at a time, so that they stay in a processor's cache.
_STRIP = 256


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


def inner_band_index(labels: np.ndarray, num_classes: int, widths: Sequence[int]) -> np.ndarray:
    """Find the narrowest inner band of its own class that holds each pixel.

    The inner band of width w of a class is the pixels of the class at a distance **<= w** from a
    pixel of another class. Ignored pixels are of no class, and the image's border is no boundary:
    neither makes a band. Exact for every width; the time grows with the sum of the widths.

    Args:
        labels: Integer label map, shape ``(H, W)``; ``num_classes`` marks ignored pixels.
        num_classes: Number of classes.
        widths: Band widths in pixels, each >= 1, ascending.

    Returns:
        Integer map, shape ``(H, W)``, as :func:`band_index` returns it.
    """
    labels = labels.astype(np.min_scalar_type(num_classes + 1))
    index = np.zeros(labels.shape, dtype=np.min_scalar_type(len(widths)))
    reach = max(widths)
    for start in range(0, len(labels), _STRIP):
        top = max(start - reach, 0)
        strip = labels[top:start + _STRIP + reach]
        # A disc meets another class where its largest or its smallest label is not the pixel's.
        # Both are maxima here, and ignored pixels are below every class.
        for largest, smallest in zip(_are_maxima((strip + 1) * (strip < num_classes), widths),
                                     _are_maxima(num_classes - strip, widths), strict=True):
            index[start:start + _STRIP] += (largest & smallest)[start - top:][:_STRIP]
    index[labels == num_classes] = len(widths)
    return index


def _are_maxima(values: np.ndarray, widths: Sequence[int]) -> list[np.ndarray]:
    """Mark, for each width, the pixels that no pixel at a distance <= width exceeds."""
    discs = [values.copy() for _ in widths]
    # A disc is made of rows of 2 * half + 1 pixels; the shortest come first.
    parts = sorted((math.isqrt(width * width - dy * dy), i, dy)
                   for i, width in enumerate(widths) for dy in range(width + 1))
    rows, reached = values.copy(), 0
    for half, i, dy in parts:
        while reached < half:
            reached += 1
            _raise(rows, values, reached, axis=1)
        _raise(discs[i], rows, dy, axis=0)
    return [disc == values for disc in discs]


def _raise(maxima: np.ndarray, values: np.ndarray, shift: int, axis: int) -> None:
    """Raise ``maxima``, in place, to ``values`` moved by ``shift`` pixels either way."""
    maxima, values = np.moveaxis(maxima, axis, 0), np.moveaxis(values, axis, 0)
    end = max(len(values) - shift, 0)
    np.maximum(maxima[shift:], values[:end], out=maxima[shift:])
    np.maximum(maxima[:end], values[shift:], out=maxima[:end])


def boundary_points(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """List the pixels in the classes' inner bands of width 1: int64 row, column, class, ``(N, 3)``.

    Arguments are those of :func:`inner_band_index`.
    """
    marked = inner_band_index(labels, num_classes, [1]) == 0
    return np.stack([*np.nonzero(marked), labels[marked].astype(np.int64)], axis=1)


def distance_to_class(points: np.ndarray, others: np.ndarray, reach: int) -> np.ndarray:
    """Measure how far each point is from the nearest of the other points of its class.

    Args:
        points: Row, column and class, shape ``(N, 3)``.
        others: Likewise, shape ``(M, 3)``.
        reach: Largest distance that is looked for, in pixels.

    Returns:
        float64 distances in pixels, shape ``(N, )``; infinite where they are beyond the reach.
    """
    # The third axis keeps the classes out of each other's reach.
    scale = [1, 1, reach + 1]
    tree = KDTree(others * scale, balanced_tree=False)
    return tree.query(points * scale, distance_upper_bound=reach + .5)[0]
