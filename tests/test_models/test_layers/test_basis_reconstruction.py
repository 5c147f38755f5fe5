# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The reconstruction module: its bases, their kinds, and what it paints."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.layers import BasisReconstruction

from ... import references


def build(**options) -> BasisReconstruction:
    return MODELS.build(dict(type='BasisReconstruction', num_classes=3, num_bases=4, **options))


@pytest.mark.parametrize('factor', [2, 4])
def test_paints_its_bases(factor: int) -> None:
    layer = build(factor=factor).double()
    layer.bases.copy_(torch.randn(3, 4, 2 * factor, 2 * factor))
    coefficients = torch.randn(2, 12, 3, 4, dtype=torch.float64)
    np.testing.assert_allclose(
        layer(coefficients).numpy(),
        references.paint_blocks(coefficients.numpy(), layer.bases.numpy()), rtol=1e-12, atol=1e-12)


def test_starts_with_cosines() -> None:
    """The constant, then half a wave across, then half a wave down, the same for every class."""
    bases = build().bases
    assert torch.equal(bases, bases[:1].expand_as(bases))
    torch.testing.assert_close(bases[0, 0], torch.ones(8, 8))
    across = bases[0, 1]
    torch.testing.assert_close(across, across[:1].expand(8, 8))
    torch.testing.assert_close(across, -across.flip(1))
    assert (across[0].diff() < 0).all()
    torch.testing.assert_close(bases[0, 2], across.T)


def test_frozen_bases_are_a_buffer() -> None:
    layer = build()
    assert [name for name, _ in layer.named_buffers()] == ['bases']
    assert not list(layer.parameters())
    layer(torch.randn(1, 12, 2, 2, requires_grad=True)).sum().backward()
    assert layer.bases.grad is None


def test_learned_bases_are_a_parameter() -> None:
    layer = build(learned=True)
    assert [name for name, _ in layer.named_parameters()] == ['bases']
    layer(torch.randn(1, 12, 2, 2)).square().sum().backward()
    assert layer.bases.grad.abs().amin(dim=(0, 1)).min() > 0
    assert layer.state_dict().keys() == build().state_dict().keys()


@pytest.mark.parametrize('learned', [False, True])
@pytest.mark.parametrize('factor', [4, 16])
def test_set_bases(factor: int, learned: bool) -> None:
    layer = build(factor=factor, learned=learned)
    new = torch.randn(3, 4, 32, 32)
    new[1, 2] = 7.  # a constant stays one under any resize
    layer.set_bases(new)
    torch.testing.assert_close(layer.bases[1, 2].detach(), torch.full((2 * factor, ) * 2, 7.))
    if factor == 16:
        torch.testing.assert_close(layer.bases.detach(), new)
    assert layer.bases.requires_grad is learned and layer.bases.is_leaf
