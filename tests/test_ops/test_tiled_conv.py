# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The convolution computed in active tiles, against the dense one and a loop over pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_lrr.ops.tiled_conv import active_tiles, tiled_conv2d


@pytest.mark.parametrize('tile', [4, 8])
@pytest.mark.parametrize('kernel', [1, 3, 5])
@pytest.mark.parametrize('size', [(21, 30), (8, 8), (3, 17)])
def test_active_tiles_are_the_dense_convolution_and_others_zero(kernel, size, tile):
    x, weight, bias = torch.randn(2, 3, *size), torch.randn(5, 3, kernel, kernel), torch.randn(5)
    rows, columns = -(-size[0] // tile), -(-size[1] // tile)
    active = torch.rand(2, rows, columns) > 0.5
    active[0, 0, 0], active[1, 0, 0] = True, False
    dense = F.conv2d(x, weight, bias, padding=kernel // 2)
    expected = torch.zeros_like(dense)
    for image, row, column in active.nonzero().tolist():
        area = (image, slice(None), slice(tile * row, tile * row + tile),
                slice(tile * column, tile * column + tile))
        expected[area] = dense[area]
    torch.testing.assert_close(tiled_conv2d(x, weight, bias, active, tile), expected)


def test_nothing_active_gives_zeros():
    out = tiled_conv2d(torch.randn(1, 2, 9, 9), torch.randn(4, 2, 5, 5), torch.randn(4),
                       torch.zeros(1, 3, 3, dtype=torch.bool))
    assert out.shape == (1, 4, 9, 9)
    assert not out.any()


@pytest.mark.parametrize('factor', [2, 4])
def test_tiles_hold_every_coefficient_that_paints_a_pixel_that_matters(factor):
    generator = np.random.default_rng(0)
    height, width = 11, 19
    mask = np.zeros((1, 2, height * factor, width * factor), np.float32)
    for _ in range(3):
        mask[0, generator.integers(2), generator.integers(height * factor),
             generator.integers(width * factor)] = 0.5
    expected = np.zeros((3, 5), bool)
    for y, x in zip(*np.nonzero(mask[0].max(axis=0) >= 0.5), strict=True):
        for row in range(height):
            for column in range(width):
                # Coefficient (row, column) paints 2u pixels from u * row - u / 2 on, either axis.
                first = factor * row - factor // 2, factor * column - factor // 2
                if (0 <= y - first[0] < 2 * factor) and (0 <= x - first[1] < 2 * factor):
                    expected[row // 4, column // 4] = True
    active = active_tiles(torch.from_numpy(mask), 0.5, factor)
    np.testing.assert_array_equal(active[0].numpy(), expected)
    assert expected.any() and not expected.all()
