# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The boundary mask against softmax and sliding windows by loops."""

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmseg.registry import MODELS

from mmseg_lrr.models.layers import BoundaryMask

from ... import references


@pytest.mark.parametrize('window', [3, 9])
def test_equals_loops(window: int) -> None:
    scores = 3 * torch.randn(2, 4, 12, 15, dtype=torch.float64)
    mask = MODELS.build(dict(type='BoundaryMask', window=window))
    expected = references.boundary_mask(scores.numpy(), window)
    np.testing.assert_allclose(mask(scores).numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(mask(scores.float()).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_near_one_at_boundaries_and_near_zero_elsewhere() -> None:
    scores = torch.zeros(1, 3, 20, 40)
    scores[:, 1, :, :20], scores[:, 2, :, 20:] = 30., 30.
    mask = BoundaryMask()(scores)
    at_boundary = torch.zeros(40, dtype=torch.bool)
    at_boundary[16:24] = True  # within the half window, four pixels, of the other class
    assert (mask[0, 1:, :, at_boundary] > .999).all()
    assert (mask[0, 1:, :, ~at_boundary] == 0).all()
    assert (mask[0, 0] < 1e-6).all()  # sure everywhere that it is not class 0


def test_lower_precision_is_raised() -> None:
    scores = (40 * torch.randn(1, 3, 10, 11)).bfloat16()
    mask = BoundaryMask()(scores)
    assert mask.dtype == torch.float32
    torch.testing.assert_close(mask, BoundaryMask()(scores.float()))


def test_soft_start() -> None:
    hub = MessageHub.get_instance('soft start')  # as a runner makes it
    mask, plain = BoundaryMask(window=3, soft_start=0.5), BoundaryMask(window=3)
    scores = 4 * torch.randn(1, 3, 6, 7)
    torch.testing.assert_close(mask(scores), plain(scores))  # without a runner
    hub.update_info('max_iters', 80)
    for iteration, strength in ((0, 0.), (10, 0.25), (20, 0.5), (40, 1.), (79, 1.)):
        hub.update_info('iter', iteration)
        torch.testing.assert_close(mask(scores), (1 - strength) + strength * plain(scores))
        torch.testing.assert_close(mask.eval()(scores), plain(scores))
        mask.train()


def test_gradcheck() -> None:
    scores = torch.randn(1, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(BoundaryMask(window=3), scores)
