# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reconstruction against painting block by block, and the released network's layer."""

from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_lrr.ops.reconstruction import reconstruct

from .. import references


def sample(factor: int, num_bases: int, size: tuple[int, int] = (3, 4), num_classes: int = 3,
           images: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Random coefficients and bases in float64."""
    coefficients = torch.randn(images, num_classes * num_bases, *size, dtype=torch.float64)
    bases = torch.randn(num_classes, num_bases, 2 * factor, 2 * factor, dtype=torch.float64)
    return coefficients, bases


@pytest.mark.parametrize(('factor', 'num_bases', 'size'), [
    (2, 1, (3, 4)), (4, 10, (1, 1)), (4, 10, (6, 2)), (8, 3, (3, 4))])
def test_paints_blocks(factor: int, num_bases: int, size: tuple[int, int]) -> None:
    coefficients, bases = sample(factor, num_bases, size)
    out = reconstruct(coefficients, bases)
    assert out.shape == (2, 3, factor * size[0], factor * size[1])
    expected = references.paint_blocks(coefficients.numpy(), bases.numpy())
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-12)
    single = reconstruct(coefficients.float(), bases.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('images', 'size', 'calls'), [
    (1, (4, 5), 1), (1, (63, 65), 1), (2, (32, 64), 3)])
def test_scores_and_gradients_are_those_of_the_released_layer(
        images: int, size: tuple[int, int], calls: int) -> None:
    """Of 4096 coefficient vectors on, classes are taken one by one."""
    coefficients, bases = sample(4, 10, size, images=images)
    upstream = torch.randn(images, 3, 4 * size[0], 4 * size[1], dtype=torch.float64)
    inputs = coefficients.requires_grad_(), bases.requires_grad_()
    with mock.patch.object(F, 'conv2d', wraps=F.conv2d) as conv2d:
        out = reconstruct(*inputs)
    assert conv2d.call_count == calls
    released = F.conv_transpose2d(
        coefficients, bases.flatten(0, 1)[:, None], stride=4, padding=2, groups=3)
    torch.testing.assert_close(out, released, rtol=1e-12, atol=1e-12)
    for grad, other in zip(torch.autograd.grad(out, inputs, upstream),
                           torch.autograd.grad(released, inputs, upstream), strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-9)


def test_coefficients_of_lower_precision() -> None:
    coefficients, bases = sample(4, 10, (4, 5))
    expected = reconstruct(coefficients.bfloat16().double(), bases.bfloat16().double())
    out = reconstruct(coefficients.bfloat16(), bases.float())
    assert out.dtype == torch.bfloat16
    error = (out.double() - expected).abs().max() / expected.abs().max()
    assert error < 2**-8  # one rounding to eight bits
