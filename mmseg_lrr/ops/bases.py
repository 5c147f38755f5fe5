# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Class basis functions: patches of label maps, their SVD, a start without data, the resize.

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

from . import checks

PATCH_SIZE = 32
"""Side of a patch and of a basis function in pixels of the label map."""

REFERENCE_NUM_PATCHES = 10_000
"""Number of patches whose scale every set of basis functions is brought to."""

TRIES_PER_MAP = 100
"""Random places tried for a class each time a label map is visited."""

MIN_CLASS_FRACTION = 0.02
"""Share of a patch's pixels that must be of the class for the patch to be kept."""


@dataclass(frozen=True)
class ClassPatches:
    """Binary patches of one class.

    Attributes:
        packed: ``(N, 128)`` uint8, a patch's 1024 pixels a row, eight to a byte: ten thousand
            patches take 1.3 MB.
        has_pixels: Whether any label map visited, of whatever size, holds a pixel of the class.
    """

    packed: np.ndarray
    has_pixels: bool

    def __len__(self) -> int:
        return len(self.packed)

    def unpack(self) -> np.ndarray:
        """Return the patches as ``(N, 32, 32)`` uint8, 1 where the pixel is of the class."""
        return np.unpackbits(self.packed, axis=1).reshape(-1, PATCH_SIZE, PATCH_SIZE)


@dataclass(frozen=True)
class PatchSample:
    """What :func:`sample_patches` found.

    Attributes:
        patches: One :class:`ClassPatches` for each class asked for, in the order asked for.
        num_passes: How often the list of label maps was begun.
        num_too_small: Label maps passed over because a side is shorter than 32 pixels.
    """

    patches: list[ClassPatches]
    num_passes: int
    num_too_small: int


class _Collector:
    """Collects the patches of one class with a random generator of its own."""

    def __init__(self, label: int, seed: int) -> None:
        self.label = label
        self.count = 0
        self.has_pixels = False
        self.homes: list[int] = []
        self._generator = np.random.default_rng([seed, label])
        self._chunks: list[np.ndarray] = []

    def try_places(self, label_map: np.ndarray) -> None:
        """Cut 100 patches and keep those with enough of the class."""
        size = PATCH_SIZE
        height, width = label_map.shape
        rows = self._generator.integers(0, height - size + 1, TRIES_PER_MAP)
        columns = self._generator.integers(0, width - size + 1, TRIES_PER_MAP)
        windows = np.lib.stride_tricks.sliding_window_view(label_map, (size, size))
        patches = (windows[rows, columns] == self.label).reshape(TRIES_PER_MAP, -1)
        patches = patches[patches.mean(axis=1) >= MIN_CLASS_FRACTION]
        self._chunks.append(np.packbits(patches, axis=1))
        self.count += len(patches)

    def patches(self) -> ClassPatches:
        """Return what was collected."""
        empty = np.zeros((0, PATCH_SIZE * PATCH_SIZE // 8), dtype=np.uint8)
        return ClassPatches(np.concatenate([empty, *self._chunks]), self.has_pixels)


def _num_missing(collectors: Sequence[_Collector], num_patches: int) -> int:
    return sum(max(0, num_patches - one.count) for one in collectors)


def _no_report(unit: str, done: int, total: int) -> None:
    pass


def sample_patches(
    label_maps: Sequence[np.ndarray],
    classes: Sequence[int],
    *,
    num_patches: int = REFERENCE_NUM_PATCHES,
    seed: int = 0,
    report: Callable[[str, int, int], None] = _no_report,
) -> PatchSample:
    """Cut binary 32x32 patches of each class at random places of label maps.

    The maps are visited in turn; each visit tries 100 places for every class that is in the map
    and still short of ``num_patches``, and keeps the patches of which at least 2% is of the
    class. The visit that reaches ``num_patches`` is used whole, so a class may end up to 99 over.
    When the maps are used up, further passes visit those that hold a class still short. A class
    for which a whole pass finds nothing keeps what it has. Each map is read once a pass.

    A class has a random generator of its own, so its patches depend on the maps and the seed
    alone, not on the other classes asked for.

    Source: spec section 2; the further passes are ours.

    Args:
        label_maps: Integer maps ``(H, W)`` at their original resolution, read by index, so that
            a lazy sequence need not hold them.
        classes: Label values to cut patches of.
        num_patches: Patches wanted for a class.
        seed: Seed of the random places, not negative.
        report: Called after each label map with a unit, how many are done and how many there
            are: ``'label maps'`` in the first pass, ``'missing patches'`` after it.

    Returns:
        The patches of each class and what was passed over.

    Raises:
        ValueError: If ``num_patches`` is not positive, ``seed`` is negative or a class is
            outside 0..255.
    """
    checks.integer('num_patches', num_patches, 1)
    checks.integer('seed', seed, 0)
    if any(not 0 <= c <= 255 for c in classes):
        raise ValueError(f'classes must be label values in 0..255, got {list(classes)}')

    collectors = {c: _Collector(c, seed) for c in classes}
    too_small = 0
    for index in range(len(label_maps)):
        wanted = [one for one in collectors.values() if one.count < num_patches]
        if not wanted:
            break
        label_map = np.asarray(label_maps[index])
        present = np.bincount(label_map.ravel(), minlength=256)
        small = min(label_map.shape) < PATCH_SIZE
        too_small += small
        for one in wanted:
            if present[one.label]:
                one.has_pixels = True
                if not small:
                    one.homes.append(index)
                    one.try_places(label_map)
        report('label maps', index + 1, len(label_maps))
    report('label maps', len(label_maps), len(label_maps))

    num_passes = 1
    wanted = [one for one in collectors.values() if 0 < one.count < num_patches]
    total = _num_missing(wanted, num_patches)
    while wanted:
        num_passes += 1
        before = {one.label: one.count for one in wanted}
        visits: dict[int, list[_Collector]] = {}
        for one in wanted:
            for index in one.homes:
                visits.setdefault(index, []).append(one)
        for index in sorted(visits):
            visitors = [one for one in visits[index] if one.count < num_patches]
            if visitors:
                label_map = np.asarray(label_maps[index])
                for one in visitors:
                    one.try_places(label_map)
                report('missing patches', total - _num_missing(wanted, num_patches), total)
        wanted = [one for one in wanted if before[one.label] < one.count < num_patches]
        # A class given up counts as done.
        report('missing patches', total - _num_missing(wanted, num_patches), total)

    return PatchSample(
        patches=[collectors[c].patches() for c in classes],
        num_passes=num_passes,
        num_too_small=too_small,
    )


def basis_functions(patches: np.ndarray, num_bases: int) -> np.ndarray:
    """Find a class's basis functions from its patches.

    The mean patch is subtracted, ``D = U S V'`` is taken of the rest, one patch a row, and the
    first rows of ``sqrt(S) V'`` are returned. Their scale grows as ``N^(1/4)`` with the number of
    patches, so they are multiplied by ``(10000 / N)^(1/4)``. The sign of a basis function is
    arbitrary; here its largest value is positive, and of several as large, up to a millionth (where
    patches come with their mirror images), the first in row-major order. Computed in float64.

    Source: spec section 2.

    Args:
        patches: ``(N, H, W)``, N at least 1, usually binary.
        num_bases: K, the number of basis functions, at most ``H * W``.

    Returns:
        ``(K, H, W)`` float32, by falling norm. Where the patches differ in fewer than K
        directions, the rest are zero.

    Raises:
        ValueError: If ``patches`` is empty or not three-dimensional, or ``num_bases`` is out of
            range.
    """
    if patches.ndim != 3 or len(patches) == 0:
        raise ValueError(f'patches must be (N, H, W) with N >= 1, got shape {patches.shape}')
    number, height, width = patches.shape
    if not 1 <= num_bases <= height * width:
        raise ValueError(f'num_bases must be in 1..{height * width}, got {num_bases}')
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


def dct_basis_functions(num_classes: int, num_bases: int, size: int = PATCH_SIZE) -> np.ndarray:
    """Make the lowest two-dimensional DCT functions, the bases of a head without data.

    The function of frequencies ``(i, j)`` (half periods down and across) is
    ``cos(pi i (y + 1/2) / size) cos(pi j (x + 1/2) / size)``, ordered by ``i^2 + j^2``, then
    ``i``, and scaled to the norm ``size / sqrt(1 + i^2 + j^2)``. The constant function is then 1
    everywhere, of norm 8 at 8x8, and the norms fall as those of the authors' VOC bases do
    (at 8x8 these average 8.3, 5.7, 5.1, 3.9, 3.6, 3.4, 3.0, 2.9, 2.7, 2.6).

    Source: ours.

    Args:
        num_classes: Number of classes; all get the same functions.
        num_bases: K, at most ``size * size``.
        size: Side in pixels.

    Returns:
        ``(num_classes, K, size, size)`` float32.

    Raises:
        ValueError: If ``num_classes`` or ``num_bases`` is out of range.
    """
    checks.integer('num_classes', num_classes, 1)
    if not 1 <= num_bases <= size * size:
        raise ValueError(f'num_bases must be in 1..{size * size}, got {num_bases}')
    frequencies = [(i, j) for i in range(size) for j in range(size)]
    frequencies.sort(key=lambda f: (f[0] ** 2 + f[1] ** 2, f[0]))
    centres = (np.arange(size) + 0.5) / size
    bases = np.empty((num_bases, size, size))
    for basis, (i, j) in zip(bases, frequencies[:num_bases], strict=True):
        basis[:] = np.outer(np.cos(np.pi * i * centres), np.cos(np.pi * j * centres))
        basis *= size / np.sqrt(1 + i**2 + j**2) / np.linalg.norm(basis)
    return np.repeat(bases[None].astype(np.float32), num_classes, axis=0)


def resize_bases(bases: Tensor | np.ndarray, size: int) -> Tensor:
    """Resize basis functions with MATLAB's antialiased bicubic ``imresize``.

    The cubic has a = -0.5; for a smaller output it is stretched by the factor. The input is
    mirrored at its border (edge cells repeated), where PyTorch's and PIL's antialiased bicubic
    leave outside cells out and renormalise. Constants stay as they are, and so does everything
    when ``size`` is the input's.

    Source: spec section 2.

    Args:
        bases: ``(..., H, W)`` floating point.
        size: Side of the output in cells, usually ``2u``.

    Returns:
        ``(..., size, size)`` on the input's device and of its dtype; computed in float64.

    Raises:
        ValueError: If ``size`` is not positive or ``bases`` has fewer than two dimensions.
        TypeError: If ``bases`` is not floating point.
    """
    bases = torch.as_tensor(bases)
    checks.integer('size', size, 1)
    if bases.ndim < 2:
        raise ValueError(f'bases must be (..., H, W), got shape {tuple(bases.shape)}')
    if not bases.is_floating_point():
        raise TypeError(f'bases must be floating point, got {bases.dtype}')
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
