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
    blur,
    build_lattice,
    embed,
    enclosing_simplex,
    gaussian_filter,
    lattice_bytes,
    normalise,
    slice_points,
    splat,
)

DIMS = (1, 2, 3, 5)


pytestmark = pytest.mark.usefixtures('one_thread')


def random_features(dims: int, num_points: int, spread: float = 2.0) -> torch.Tensor:
    return torch.randn(dims, num_points) * spread


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


@pytest.mark.parametrize('dims', DIMS)
def test_filter_is_the_slow_one(dims: int) -> None:
    features, values = random_features(dims, 250), torch.rand(250, 3)
    lattice = build_lattice(embed(features, range(dims)))
    expected = lattice_filter(features.double().numpy(), values.double().numpy())
    np.testing.assert_allclose(gaussian_filter(lattice, values), expected, rtol=1e-5)


def image_features(seed: int, height: int, width: int) -> list[torch.Tensor]:
    """Features of an image's pixels; some lie on the borders between simplices."""
    image, _ = scene(seed, height, width, num_classes=3)
    features = position_features(height, width, 2.7), bilateral_features(image, 9.1, 25.3)
    return [torch.tensor(f, dtype=torch.float32) for f in features]


def test_filter_of_an_image_is_the_slow_one() -> None:
    values = torch.rand(15 * 18, 3)
    for features in image_features(1, 15, 18):
        result = gaussian_filter(build_lattice(embed(features, range(len(features)))), values)
        expected = lattice_filter(features.double().numpy(), values.double().numpy())
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_order_of_the_vertices_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, values = random_features(3, 200), torch.rand(200, 4)
    expected = gaussian_filter(build_lattice(embed(features, (0, 1, 2))), values)
    for slowest_first in ((2, 0, 1), (1, 2, 0)):
        result = gaussian_filter(build_lattice(embed(features, slowest_first)), values)
        torch.testing.assert_close(result, expected)
    monkeypatch.setattr(permutohedral, 'CPU_BLOCK', 7)
    result = gaussian_filter(build_lattice(embed(features, (0, 1, 2))), values)
    torch.testing.assert_close(result, expected)


def test_keys_of_64_bits() -> None:
    """Two clusters far apart need keys beyond 32 bits."""
    near, values = random_features(5, 100), torch.rand(100, 2)
    far = near.clone()
    far[:, 50:] += 1000
    embeddings = [embed(features, range(5)) for features in (near, far)]
    assert [embedding.keys.dtype for embedding in embeddings] == [torch.int32, torch.int64]
    result = gaussian_filter(build_lattice(embeddings[1]), values)
    expected = lattice_filter(far.double().numpy(), values.double().numpy())
    # At 1000 standard deviations, a last binary digit of the elevated point is 5e-4 of a cell.
    np.testing.assert_allclose(result, expected, atol=2e-3)


def test_points_without_value() -> None:
    """They are in the lattice like points of value 0, and get no result."""
    features, values = random_features(5, 60), torch.rand(60, 2)
    values[50:] = 0
    expected = lattice_filter(features.double().numpy(), values.double().numpy())[:50]
    without = lattice_filter(features[:, :50].double().numpy(), values[:50].double().numpy())
    assert np.abs(expected - without).max() > 1e-3
    result = gaussian_filter(build_lattice(embed(features, range(5), num_empty=10)), values[:50])
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_splat_keeps_the_sum_and_slice_is_its_transpose() -> None:
    lattice = build_lattice(embed(random_features(2, 80), (1, 0)))
    values = torch.rand(80, 3)
    table = splat(lattice, values)
    torch.testing.assert_close(table.sum(0), values.sum(0))
    assert not table[-1].any()
    other = torch.rand_like(table)
    other[-1] = 0
    # <splat(values), other> = <values, slice(other)>, up to the filter's scale.
    left, right = (table * other).sum(), (values * slice_points(lattice, other)).sum()
    torch.testing.assert_close(left, right * (1 + 2.0**-2))
    part = slice_points(lattice, other, slice(10, 30))
    torch.testing.assert_close(part, slice_points(lattice, other)[10:30])


def test_blur_in_given_tables() -> None:
    """The result is where the documentation says, for odd and even numbers of directions."""
    for dims in (2, 3):
        lattice = build_lattice(embed(random_features(dims, 60), range(dims)))
        table = splat(lattice, torch.rand(60, 2))
        expected = blur(lattice, table.clone())
        spare = torch.full_like(table, float('nan'))
        result = blur(lattice, table, spare)
        torch.testing.assert_close(result, expected, rtol=0, atol=0)
        assert result is (table if dims % 2 else spare)


def test_normalise() -> None:
    """``weight * S K S`` with the slow filter's K, as an explicit matrix."""
    for features in image_features(2, 9, 11):
        lattice = build_lattice(embed(features, range(len(features))))
        result = gaussian_filter(normalise(lattice, 2.5), torch.eye(99))
        kernel = lattice_filter(features.double().numpy(), np.eye(99))
        np.testing.assert_allclose(result, 2.5 * normalised(kernel), atol=2e-6)


@pytest.mark.parametrize('dims', DIMS)
def test_gaussian_is_one_at_distance_zero(dims: int) -> None:
    """At a vertex, with all the vertices around it in use, and twice 1 for two points."""
    features = torch.rand(dims, 50_000) * 4 - 2
    features[:, :2] = 0
    lattice = build_lattice(embed(features, range(dims)))
    impulse = torch.zeros(50_000, 1)
    impulse[0] = 1
    assert gaussian_filter(lattice, impulse)[:2].tolist() == [[1], [1]]


def test_one_point_and_equal_points() -> None:
    for num_points in (1, 20):
        features, ones = torch.full((5, num_points), 3.3), torch.ones(num_points, 1)
        result = gaussian_filter(build_lattice(embed(features, range(5))), ones)
        expected = lattice_filter(features.double().numpy(), ones.double().numpy())
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kernel', ['position', 'bilateral'])
def test_filter_is_close_to_the_exact_gaussian(kernel: str, seed: int) -> None:
    """The lattice only approximates the Gaussian: piecewise linear between vertices.

    Measured on such scenes: a mean error of 0.003 (position) to 0.006 (bilateral) in responses of
    up to 0.7, and a correlation of at least 0.998.
    """
    image, probs = scene(seed, height=40, width=48, num_classes=5)
    features = dict(
        position=position_features(40, 48, 3.0), bilateral=bilateral_features(image, 10.0, 30.0)
    )[kernel]
    values = probs.reshape(5, -1).T
    expected = normalised(gaussian_kernel(features)) @ values
    lattice = build_lattice(
        embed(torch.tensor(features, dtype=torch.float32), range(len(features)))
    )
    result = gaussian_filter(normalise(lattice), torch.tensor(values)).numpy()
    assert np.abs(result - expected).mean() < 0.01
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.995


def test_points_too_far_out() -> None:
    features = random_features(2, 50)
    with pytest.raises(ValueError, match=r'feature 1 reaches .* expected at most'):
        embed(features * torch.tensor([[1.0], [1e6]]), (1, 0))
    with pytest.raises(ValueError, match='feature 0 reaches nan'):
        embed(features * float('nan'), (1, 0))
    with pytest.raises(ValueError, match=r'span .* lattice cells, expected at most 2\^63'):
        embed(random_features(5, 50) * 1e4, range(5))


def test_lattice_bytes() -> None:
    """The count is that of the tensors' own sizes."""
    for dims, spread in ((2, 2.0), (5, 2.0), (5, 300.0)):
        lattice = build_lattice(embed(random_features(dims, 500, spread), range(dims)))
        embedding = lattice.embedding
        tensors = [value for value in vars(embedding).values() if isinstance(value, torch.Tensor)]
        tensors += [lattice.neighbours, lattice.blur_weights]
        held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        # Up to the two entries that close the list of offsets.
        assert held - 8 <= lattice_bytes(embedding) <= held


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_on_a_gpu() -> None:
    features, values = random_features(5, 3000), torch.rand(3000, 7)
    expected = gaussian_filter(build_lattice(embed(features, range(5))), values)
    lattice = build_lattice(embed(features.cuda(), range(5)))
    result = gaussian_filter(lattice, values.cuda())
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), expected, rtol=1e-4, atol=1e-5)
