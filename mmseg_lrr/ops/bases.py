# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Class basis functions: patches of label maps, their SVD, cosines for a start without data.

Basis functions are 32x32 maps in units of class score, kept as ``(num_classes, K, 32, 32)``
arrays in float32 and resized to the ``2u x 2u`` kernel of a reconstruction with factor ``u``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

PATCH_SIZE = 32
"""Side of a patch and of a basis function in pixels of the label map."""

REFERENCE_NUM_PATCHES = 10_000
"""Number of patches whose scale every set of basis functions is brought to."""

TRIES_PER_MAP = 100
"""Random places tried per class each time a label map is visited."""

MIN_CLASS_FRACTION = 0.02
"""Fraction of a patch's pixels that must be of the class for the patch to be kept."""


class ClassPatches:
    """Binary patches of one class, cut with a random generator of its own.

    Attributes:
        maps: Indices of the label maps, large enough for a patch, that hold the class.
    """

    def __init__(self, label: int, seed: int) -> None:
        self.label = label
        self.maps: set[int] = set()
        self._count = 0
        self._generator = np.random.default_rng([seed, label])
        self._chunks = [np.zeros((0, PATCH_SIZE**2 // 8), np.uint8)]

    def __len__(self) -> int:
        return self._count

    @property
    def packed(self) -> np.ndarray:
        """``(N, 128)`` uint8, eight pixels to a byte: ten thousand patches take 1.3 MB."""
        return np.concatenate(self._chunks)

    def unpack(self) -> np.ndarray:
        """Return the patches as ``(N, 32, 32)`` uint8, 1 where the pixel is of the class."""
        return np.unpackbits(self.packed, axis=1).reshape(-1, PATCH_SIZE, PATCH_SIZE)

    def cut(self, label_map: np.ndarray) -> None:
        """Cut 100 patches of a label map and keep those with enough of the class."""
        height, width = label_map.shape
        rows = self._generator.integers(0, height - PATCH_SIZE + 1, TRIES_PER_MAP)
        columns = self._generator.integers(0, width - PATCH_SIZE + 1, TRIES_PER_MAP)
        windows = np.lib.stride_tricks.sliding_window_view(label_map, (PATCH_SIZE, PATCH_SIZE))
        patches = (windows[rows, columns] == self.label).reshape(TRIES_PER_MAP, -1)
        patches = patches[patches.mean(axis=1) >= MIN_CLASS_FRACTION]
        self._chunks.append(np.packbits(patches, axis=1))
        self._count += len(patches)


@dataclass(frozen=True)
class PatchSample:
    """What :func:`sample_patches` found.

    Attributes:
        patches: One :class:`ClassPatches` per class, in the order asked for.
        num_passes: Number of passes over the label maps.
        num_too_small: Number of label maps left out because a side is shorter than 32 pixels.
        pixels: Number of pixels of each label, 0 to 255, in all label maps of whatever size.
    """

    patches: list[ClassPatches]
    num_passes: int
    num_too_small: int
    pixels: np.ndarray


def sample_patches(
    label_maps: Sequence[np.ndarray],
    classes: Sequence[int],
    *,
    num_patches: int = REFERENCE_NUM_PATCHES,
    seed: int = 0,
    report: Callable[[str, int, int], None] = lambda unit, done, total: None,
) -> PatchSample:
    """Cut binary 32x32 patches of each class at random places of label maps.

    The maps are visited in turn; each visit tries 100 places for every class that is in the map
    and still short of ``num_patches``, and keeps the patches of which at least 2% is of the
    class. The visit that reaches ``num_patches`` is used whole, so a class may end up to 99 over.
    The first pass reads every map, needed or not: a lazy sequence can check them. Further passes
    (ours) visit the maps that hold a class still short. A class for which a whole pass finds
    nothing keeps what it has. Each map is read once per pass.
    The patches of a class depend on the maps and the seed alone, not on the other classes.

    Source: docs/method.md, "Basis functions".

    Args:
        label_maps: Integer maps ``(H, W)`` at their original resolution, read by index, so that
            a lazy sequence need not hold them.
        classes: Label values, 0 to 255, to cut patches of.
        num_patches: Number of patches wanted per class.
        seed: Seed of the random places.
        report: Called after each label map with a unit, the number done and the total:
            ``'label maps'`` in the first pass, ``'missing patches'`` after it.
    """
    patches = [ClassPatches(label, seed) for label in classes]
    num_too_small, pixels = 0, np.zeros(256, int)
    for index in range(len(label_maps)):
        label_map = np.asarray(label_maps[index])
        present = np.bincount(label_map.ravel(), minlength=256)
        pixels += present
        small = min(label_map.shape) < PATCH_SIZE
        num_too_small += small
        for one in patches:
            if present[one.label] and len(one) < num_patches and not small:
                one.maps.add(index)
                one.cut(label_map)
        report('label maps', index + 1, len(label_maps))

    def missing() -> int:
        return sum(max(0, num_patches - len(one)) for one in short)

    num_passes = 1
    short = [one for one in patches if 0 < len(one) < num_patches]
    total = missing()
    while short:
        num_passes += 1
        before = [len(one) for one in short]
        for index in sorted(set.union(*(one.maps for one in short))):
            visitors = [one for one in short if index in one.maps and len(one) < num_patches]
            if visitors:
                label_map = np.asarray(label_maps[index])
                for one in visitors:
                    one.cut(label_map)
                report('missing patches', total - missing(), total)
        short = [one for one, count in zip(short, before, strict=True)
                 if count < len(one) < num_patches]
        # A class given up counts as done.
        report('missing patches', total - missing(), total)
    return PatchSample(patches, num_passes, num_too_small, pixels)


def basis_functions(patches: np.ndarray, num_bases: int) -> np.ndarray:
    """Compute a class's basis functions from its patches.

    The mean patch is subtracted, ``D = U S V'`` is taken of the rest, one patch per row, and the
    first rows of ``sqrt(S) V'`` are returned. Their scale grows as ``N^(1/4)`` with the number of
    patches, so they are multiplied by ``(10000 / N)^(1/4)`` (ours). The sign is arbitrary; here the
    largest value is positive, and of several as large (where patches come with their mirror
    images) the first in row-major order. Computed in float64.

    Source: docs/method.md, "Basis functions".

    Args:
        patches: ``(N, H, W)``, N at least 1, usually binary.
        num_bases: Number of basis functions, K, at most ``H * W``.

    Returns:
        ``(K, H, W)`` float32, by falling norm. Where the patches differ in fewer than K
        directions, the rest are zero.
    """
    number, height, width = patches.shape
    rows = patches.reshape(number, -1).astype(np.float64)
    rows -= rows.mean(axis=0)
    # The right singular vectors are the eigenvectors of the 1024x1024 Gram matrix, which is far
    # smaller than the patches; its eigenvalues are the squared singular values, rising.
    wanted = (height * width - num_bases, height * width - 1)
    squares, vectors = eigh(rows.T @ rows, subset_by_index=wanted)
    squares, vectors = squares[::-1], vectors[:, ::-1].T
    noise = max(squares[0], 0.0) * np.finfo(np.float64).eps * max(number, height * width)
    norms = np.where(squares > noise, np.maximum(squares, 0.0), 0.0) ** 0.25
    sizes = np.abs(vectors)
    # Rounding, and with it the number of threads, must not choose among equal peaks.
    first = (sizes >= (1 - 1e-6) * sizes.max(axis=1, keepdims=True)).argmax(axis=1)
    peaks = np.take_along_axis(vectors, first[:, None], axis=1)
    scale = (REFERENCE_NUM_PATCHES / number) ** 0.25
    bases = vectors * np.sign(peaks) * norms[:, None] * scale
    return bases.reshape(num_bases, height, width).astype(np.float32)


def dct_basis_functions(num_classes: int, num_bases: int) -> np.ndarray:
    """Return the lowest two-dimensional DCT functions, the bases of a head without data.

    The function of frequencies ``(i, j)`` (half periods down and across) is
    ``cos(pi i (y + 1/2) / 32) cos(pi j (x + 1/2) / 32)``, ordered by ``i^2 + j^2``, then
    ``i``, and scaled to the norm ``32 / sqrt(1 + i^2 + j^2)``. The constant function is then 1
    everywhere, of norm 8 at 8x8, and the norms fall as those of the authors' VOC bases do
    (at 8x8 these average 8.3, 5.7, 5.1, 3.9, 3.6, 3.4, 3.0, 2.9, 2.7, 2.6).

    Source: ours.

    Args:
        num_classes: Number of classes; all get the same functions.
        num_bases: Number of basis functions per class, K, at most 1024.

    Returns:
        ``(num_classes, K, 32, 32)`` float32.
    """
    frequencies = [(i, j) for i in range(PATCH_SIZE) for j in range(PATCH_SIZE)]
    frequencies.sort(key=lambda f: (f[0] ** 2 + f[1] ** 2, f[0]))
    centres = (np.arange(PATCH_SIZE) + 0.5) / PATCH_SIZE
    bases = np.empty((num_bases, PATCH_SIZE, PATCH_SIZE))
    for basis, (i, j) in zip(bases, frequencies[:num_bases], strict=True):
        basis[:] = np.outer(np.cos(np.pi * i * centres), np.cos(np.pi * j * centres))
        basis *= PATCH_SIZE / np.sqrt(1 + i**2 + j**2) / np.linalg.norm(basis)
    return np.repeat(bases[None].astype(np.float32), num_classes, axis=0)


def resize_bases(bases: Tensor | np.ndarray, size: int) -> Tensor:
    """Resize basis functions with MATLAB's antialiased bicubic ``imresize``.

    The cubic has a = -0.5; for a smaller output it is stretched by the factor. The input is
    mirrored at its border (edge cells repeated), where PyTorch's antialiased bicubic renormalises.

    Source: docs/method.md, "Basis functions".

    Args:
        bases: ``(..., H, W)`` floating point.
        size: Side of the output in cells, usually ``2u``.

    Returns:
        ``(..., size, size)`` on the input's device and of its dtype; computed in float64.
    """
    bases = torch.as_tensor(bases)
    down, across = (
        torch.from_numpy(_resize_weights(length, size)).to(bases.device)
        for length in bases.shape[-2:]
    )
    return (down @ bases.double() @ across.T).to(bases.dtype)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def _resize_weights(length: int, size: int) -> np.ndarray:
    """Return the ``(size, length)`` matrix that resizes one axis."""
    scale = size / length
    stretch = min(scale, 1.0)
    reach = int(np.ceil(2 / stretch)) + 1
    centres = (np.arange(size) + 0.5) / scale - 0.5
    taps = np.arange(-reach, length + reach)
    weights = _cubic((centres[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    # Fold the taps outside the input back onto the cells they mirror.
    mirrored = taps % (2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    folded = np.zeros((size, length))
    np.add.at(folded.T, mirrored, weights.T)
    return folded
