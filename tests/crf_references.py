# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Slow, obvious NumPy versions of the fully connected CRF and of its filters, in float64.

They share nothing with the package: tests compare the package's results with these.
"""

from collections import defaultdict

import numpy as np


def lattice_vertices(feature: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """(D,): the vertices of remainder 0..D around a point, and the point's barycentric weights.

    Adams, Baek and Davis (2010), section 3: elevate the point onto the plane of zero sum, find
    the closest lattice point of remainder 0, walk to the other remainders in the order of the
    coordinates' differences, and solve for the weights that give the point.
    """
    dims = len(feature)
    # The columns of the elevation are orthonormal: (1, .., 1, -k, 0, ..) over its length.
    elevation = np.zeros((dims + 1, dims))
    for k in range(1, dims + 1):
        elevation[:k, k - 1] = 1
        elevation[k, k - 1] = -k
    elevation /= np.linalg.norm(elevation, axis=0)
    # Rounded, so that coordinates that are equal are equal here, too.
    point = np.round(elevation @ feature * np.sqrt(2 / 3) * (dims + 1), 6)

    zero = np.rint(point / (dims + 1)) * (dims + 1)
    while zero.sum() != 0:
        # Off the plane: the coordinate that was rounded furthest moves to its other side. Among
        # equal ones it is the last that moves down and the first that moves up.
        down = zero.sum() > 0
        off = np.round(zero - point if down else point - zero, 6)
        equal = np.flatnonzero(off == off.max())
        zero[equal[-1] if down else equal[0]] += -(dims + 1) if down else dims + 1
    vertices = [tuple(zero.astype(int).tolist())]
    falling = np.argsort(np.round(zero - point, 6), kind='stable')
    for remainder in range(1, dims + 1):
        vertex = zero + remainder
        vertex[falling[dims + 1 - remainder:]] -= dims + 1
        vertices.append(tuple(vertex.astype(int).tolist()))

    equations = np.vstack([np.array(vertices, dtype=float).T, np.ones(dims + 1)])
    weights = np.linalg.lstsq(equations, np.append(point, 1), rcond=None)[0]
    return vertices, weights


def lattice_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(D, N), (N, C) -> (N, C): splat, blur and slice with a dictionary of vertices.

    Vertices that a point touches with weight 0 are in use as well: they pass values on.
    """
    dims = len(features)
    places = [lattice_vertices(feature) for feature in features.T]
    table = defaultdict(lambda: np.zeros(values.shape[1]))
    for (vertices, weights), value in zip(places, values, strict=True):
        for vertex, weight in zip(vertices, weights, strict=True):
            table[vertex] = table[vertex] + weight * value
    for direction in range(dims + 1):
        step = np.full(dims + 1, -1)
        step[direction] = dims
        blurred = {}
        for vertex, value in table.items():
            blurred[vertex] = value.copy()
            for neighbour in (vertex + step, vertex - step):
                blurred[vertex] += 0.5 * table.get(tuple(neighbour.tolist()), 0)
        table = blurred
    out = [
        sum(weight * table[vertex] for vertex, weight in zip(*place, strict=True))
        for place in places
    ]
    return np.array(out) / (1 + 2.0**-dims)


def gaussian_kernel(features: np.ndarray) -> np.ndarray:
    """(D, N) -> (N, N): the exact Gaussian of every pair of points."""
    squares = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
    return np.exp(-squares / 2)


def normalised(kernel: np.ndarray) -> np.ndarray:
    """(N, N): the symmetric normalisation, by the root of the response to ones on both sides."""
    scale = 1 / np.sqrt(kernel.sum(axis=1))
    return scale[:, None] * kernel * scale[None, :]


def position_features(height: int, width: int, std: float) -> np.ndarray:
    """(2, H * W): column and row of each pixel in standard deviations, row by row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns.ravel(), rows.ravel()]) / std


def bilateral_features(image: np.ndarray, std_xy: float, std_rgb: float) -> np.ndarray:
    """(H, W, 3) -> (5, H * W): column, row and colour of each pixel in standard deviations."""
    places = position_features(*image.shape[:2], std_xy)
    return np.concatenate([places, image.reshape(-1, 3).T / std_rgb])


def mean_field(
    probs: np.ndarray, kernels: list[np.ndarray], weights: list[float], iterations: int
) -> np.ndarray:
    """(C, H, W), explicit (N, N) kernels -> (C, H, W): Kraehenbuehl and Koltun's algorithm 1.

    The Potts penalty of all labels but a pixel's own differs from minus the own label's message
    by a constant, which the normalisation takes away.
    """
    shape = probs.shape
    unary = -np.log(np.clip(probs.astype(np.float64), 1e-5, 1)).reshape(shape[0], -1)
    marginals = np.exp(-unary)
    marginals /= marginals.sum(axis=0)
    for _ in range(iterations):
        energy = unary.copy()
        for kernel, weight in zip(kernels, weights, strict=True):
            energy -= weight * (marginals @ kernel.T)
        marginals = np.exp(-(energy - energy.min(axis=0)))
        marginals /= marginals.sum(axis=0)
    return marginals.reshape(shape)


def scene(seed: int, height: int, width: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Paint ellipses on shaded ground, and guess their classes as a coarse network would.

    Returns:
        ``(H, W, 3)`` uint8 image, ``(C, H, W)`` float32 probabilities.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    labels = np.zeros((height, width), dtype=int)
    colours = rng.integers(30, 226, (num_classes, 3)).astype(np.float64)
    for label in range(1, num_classes):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        a, b = rng.uniform(height / 6, height / 2.5), rng.uniform(width / 6, width / 2.5)
        labels[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] = label
    shade = 20 * np.sin(rows / height * 4)[..., None] + 15 * np.cos(columns / width * 5)[..., None]
    image = colours[labels] + shade + rng.normal(0, 3, (height, width, 3))

    # The network sees a quarter of the pixels, errs, and is resized by repeating.
    coarse = np.eye(num_classes)[labels[::4, ::4]]
    logits = 2 * coarse + rng.normal(0, 1, coarse.shape)
    logits = logits.repeat(4, axis=0).repeat(4, axis=1)[:height, :width].transpose(2, 0, 1)
    probs = np.exp(logits - logits.max(axis=0))
    probs /= probs.sum(axis=0)
    return np.clip(image, 0, 255).astype(np.uint8), probs.astype(np.float32)


#: What the published settings are, written out for the comparison with pydensecrf: iterations,
#: then weight and standard deviations of the two kernels.
SETTINGS = {
    'kraehenbuehl': dict(iterations=10, position=(3, 3), bilateral=(10, 80, 13)),
    'deeplab_v1': dict(iterations=10, position=(3, 3), bilateral=(4, 121, 5)),
    'deeplab_v2_vgg16': dict(iterations=10, position=(2, 2), bilateral=(4, 65, 3)),
    'deeplab_v2_resnet101': dict(iterations=10, position=(3, 1), bilateral=(4, 67, 3)),
}


def pydensecrf_inference(
    image: np.ndarray,
    probs: np.ndarray,
    iterations: int,
    position: tuple[float, float],
    bilateral: tuple[float, float, float],
) -> np.ndarray:
    """(H, W, 3) uint8, (C, H, W) float32 -> (C, H, W): Kraehenbuehl and Koltun's own code."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    num_classes, height, width = probs.shape
    crf = DenseCRF2D(width, height, num_classes)
    crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(probs)))
    crf.addPairwiseGaussian(sxy=position[1], compat=position[0])
    crf.addPairwiseBilateral(
        sxy=bilateral[1], srgb=bilateral[2], rgbim=np.ascontiguousarray(image), compat=bilateral[0]
    )
    return np.array(crf.inference(iterations)).reshape(probs.shape)
