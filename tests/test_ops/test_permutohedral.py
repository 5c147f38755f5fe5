# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The permutohedral lattice against NumPy's slow one, and against the exact Gaussian."""

import numpy as np
import pytest
import torch
from crf_references import (
    bilateral_features,
    gaussian_kernel,
    lattice_filter,
    lattice_vertices,
    normalised,
    position_features,
    scene,
)

from mmseg_lrr.ops import permutohedral
from mmseg_lrr.ops.permutohedral import (
    build_lattice,
    enclosing_simplex,
    gaussian_filter,
    normalise,
)

DIMS = (1, 2, 3, 5)

pytestmark = pytest.mark.usefixtures('one_thread')


def random_features(dims: int, num_points: int, spread: float = 2.0) -> torch.Tensor:
    return torch.randn(dims, num_points) * spread


def image_features(seed: int, height: int, width: int) -> list[torch.Tensor]:
    """Features of an image's pixels; some lie on the borders between simplices."""
    image, _ = scene(seed, height, width, num_classes=3)
    features = position_features(height, width, 2.7), bilateral_features(image, 9.1, 25.3)
    return [torch.tensor(f, dtype=torch.float32) for f in features]


def filtered(features: torch.Tensor, values: torch.Tensor, **kwargs: int) -> torch.Tensor:
    return gaussian_filter(build_lattice(features, range(len(features)), **kwargs), values)


def slowly(features: torch.Tensor, values: torch.Tensor) -> np.ndarray:
    return lattice_filter(features.double().numpy(), values.double().numpy())


@pytest.mark.parametrize('dims', DIMS)
def test_enclosing_simplex(dims: int) -> None:
    """The vertices and weights of every point are those of the slow search."""
    features = random_features(dims, 300, spread=20.0)
    cell, order, weights = enclosing_simplex(features)
    for point in range(features.shape[1]):
        vertices, expected = lattice_vertices(features[:, point].double().numpy())
        for remainder in range(dims + 1):
            vertex = cell[:, point] * (dims + 1) + remainder
            vertex = vertex - (dims + 1) * (order[:, point] < remainder)
            assert tuple(vertex.int().tolist()) == vertices[remainder]
        np.testing.assert_allclose(weights[:, point], expected, atol=2e-5)


def test_filter_is_the_slow_one() -> None:
    points = [random_features(dims, 250) for dims in DIMS] + image_features(1, 15, 18)
    # One point, and several in one place.
    points += [torch.full((5, 1), 3.3), torch.full((5, 20), 3.3)]
    for features in points:
        values = torch.rand(features.shape[1], 3)
        np.testing.assert_allclose(
            filtered(features, values), slowly(features, values), rtol=1e-5)


def test_order_of_the_vertices_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, values = random_features(3, 200), torch.rand(200, 4)
    expected = filtered(features, values)
    result = gaussian_filter(build_lattice(features, (2, 0, 1)), values)
    torch.testing.assert_close(result, expected)
    monkeypatch.setattr(permutohedral, 'CPU_BLOCK', 7)
    torch.testing.assert_close(filtered(features, values), expected)


def test_keys_of_64_bits() -> None:
    """Two clusters far apart need keys beyond 32 bits."""
    features, values = random_features(5, 100), torch.rand(100, 2)
    features[:, 50:] += 1000
    assert permutohedral._packing(features, range(5))[2] > 2**31
    # At 1000 standard deviations, a last binary digit of the elevated point is 5e-4 of a cell.
    np.testing.assert_allclose(filtered(features, values), slowly(features, values), atol=2e-3)


def test_points_without_value() -> None:
    """They are in the lattice like points of value 0, and get no result."""
    features, values = random_features(5, 60), torch.rand(60, 2)
    values[50:] = 0
    expected = slowly(features, values)[:50]
    assert np.abs(expected - slowly(features[:, :50], values[:50])).max() > 1e-3
    result = filtered(features, values[:50], num_empty=10)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_normalise() -> None:
    """``weight * S K S`` with the slow filter's K, as an explicit matrix."""
    for features in image_features(2, 9, 11):
        lattice = build_lattice(features, range(len(features)))
        result = gaussian_filter(normalise(lattice, 2.5), torch.eye(99))
        kernel = slowly(features, torch.eye(99))
        np.testing.assert_allclose(result, 2.5 * normalised(kernel), atol=2e-6)


def test_filter_is_close_to_the_exact_gaussian() -> None:
    """The lattice only approximates the Gaussian: piecewise linear between vertices.

    Measured on such scenes: a mean error of 0.003 (position) to 0.006 (bilateral) in responses of
    up to 0.7, and a correlation of at least 0.998.
    """
    image, probs = scene(seed=0, height=40, width=48, num_classes=5)
    values = probs.reshape(5, -1).T
    for features in (position_features(40, 48, 3.0), bilateral_features(image, 10.0, 30.0)):
        expected = normalised(gaussian_kernel(features)) @ values
        lattice = build_lattice(torch.tensor(features, dtype=torch.float32), range(len(features)))
        result = gaussian_filter(normalise(lattice), torch.tensor(values)).numpy()
        assert np.abs(result - expected).mean() < 0.01
        assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.995


def test_points_too_far_out() -> None:
    """Beyond what float32 and 64-bit keys tell apart; silence would give wrong neighbours."""
    for features in (random_features(2, 50) * 1e6, random_features(5, 50) * 1e4,
                     torch.full((2, 3), float('inf'))):
        with pytest.raises(ValueError, match='standard deviations are too small'):
            build_lattice(features, range(len(features)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_on_a_gpu() -> None:
    features, values = random_features(5, 3000), torch.rand(3000, 7)
    result = filtered(features.cuda(), values.cuda())
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), filtered(features, values), rtol=1e-4, atol=1e-5)
