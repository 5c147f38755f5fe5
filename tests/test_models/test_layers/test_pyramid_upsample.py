# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""From one level to the next: upsampled, then cut, never stretched."""

import numpy as np
import pytest
import torch

from mmseg_lrr.models.layers import PyramidUpsample, crop

from ... import references


@pytest.mark.parametrize('size', [(10, 14), (9, 13), (8, 14), (1, 1)])
def test_upsamples_and_keeps_the_top_left(size: tuple[int, int]) -> None:
    scores = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    for border, upsample in (('zeros', references.upsample2x_zeros),
                             ('replicate', references.upsample2x_replicate)):
        out = PyramidUpsample(border=border)(scores, size)
        np.testing.assert_allclose(
            out.numpy(), upsample(scores.numpy())[:, :, :size[0], :size[1]], rtol=1e-12)


def test_zeros_is_the_default() -> None:
    assert PyramidUpsample()(torch.ones(1, 1, 2, 2), (4, 4))[0, 0, 0, 0] == .5625


def test_equally_fine_maps_are_cut_alone() -> None:
    scores = torch.randn(2, 3, 6, 8)
    assert torch.equal(PyramidUpsample(factor=1)(scores, (5, 8)), scores[:, :, :5])


@pytest.mark.parametrize('size', [(11, 14), (10, 15)])
def test_too_small_a_map_is_an_error(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='rounds odd sizes down.*size_divisor'):
        PyramidUpsample()(torch.zeros(1, 1, 5, 7), size)
    with pytest.raises(ValueError, match=r'\(10, 14\)'):
        crop(torch.zeros(1, 1, 10, 14), size)


@pytest.mark.parametrize('options', [dict(factor=3), dict(factor=0), dict(border='mirror')])
def test_refuses_options(options: dict) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f'{name} .*{value}'):
        PyramidUpsample(**options)
