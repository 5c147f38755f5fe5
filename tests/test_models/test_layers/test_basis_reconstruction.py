# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The reconstruction module: its bases and their kinds. What it paints: tests of the head."""

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.layers import BasisReconstruction


def build(**options) -> BasisReconstruction:
    return MODELS.build(dict(type='BasisReconstruction', num_classes=3, num_bases=4, **options))


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


@pytest.mark.parametrize(('factor', 'learned'), [(4, False), (16, True)])
def test_frozen_and_learned_bases_can_be_set(factor: int, learned: bool) -> None:
    layer = build(factor=factor, learned=learned)
    new = torch.randn(3, 4, 32, 32)
    new[1, 2] = 7.  # a constant stays one under any resize
    layer.set_bases(new)
    torch.testing.assert_close(layer.bases[1, 2].detach(), torch.full((2 * factor, ) * 2, 7.))
    if factor == 16:
        torch.testing.assert_close(layer.bases.detach(), new)
    assert list(layer.state_dict()) == ['bases'] and len(list(layer.parameters())) == learned
    layer(torch.randn(1, 12, 2, 2, requires_grad=True)).square().sum().backward()
    assert layer.bases.is_leaf
    assert layer.bases.grad.abs().amin() > 0 if learned else layer.bases.grad is None
