# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The upsampling by two, under both border rules, against loops."""

import numpy as np
import pytest
import torch

from mmseg_lrr.ops.resampling import upsample2x

from .. import references

BY_LOOPS = {
    'zeros': references.upsample2x_zeros,
    'replicate': references.upsample2x_replicate,
}


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (5, 1), (2, 2), (4, 7)])
@pytest.mark.parametrize('border', BY_LOOPS)
def test_equals_loops(border: str, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = BY_LOOPS[border](x.numpy())
    np.testing.assert_allclose(upsample2x(x, border).numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        upsample2x(x.float(), border).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_zeros_is_the_default_and_scales_the_border() -> None:
    out = upsample2x(torch.ones(1, 1, 3, 4))[0, 0]
    line = torch.ones(8)
    line[[0, -1]] = .75
    column = torch.ones(6)
    column[[0, -1]] = .75
    assert torch.equal(out, column[:, None] * line)
    assert out[0, 0] == .5625


def test_replicate_keeps_a_constant() -> None:
    assert torch.equal(upsample2x(torch.ones(1, 1, 3, 4), 'replicate'), torch.ones(1, 1, 6, 8))


def test_both_agree_off_the_border() -> None:
    x = torch.randn(1, 2, 5, 6)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(upsample2x(x)[inner], upsample2x(x, 'replicate')[inner])


@pytest.mark.parametrize('border', BY_LOOPS)
def test_gradcheck(border: str) -> None:
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample2x(x, border), x)


@pytest.mark.parametrize('border', BY_LOOPS)
def test_any_memory_layout(border: str) -> None:
    x = torch.randn(2, 3, 5, 4)
    expected = upsample2x(x, border)
    torch.testing.assert_close(
        upsample2x(x.to(memory_format=torch.channels_last), border), expected)
    torch.testing.assert_close(
        upsample2x(x.transpose(2, 3).contiguous().transpose(2, 3), border), expected)


def test_refuses_a_border() -> None:
    with pytest.raises(ValueError, match="border .*zeros.*replicate.*'mirror'"):
        upsample2x(torch.zeros(1, 1, 2, 2), 'mirror')
