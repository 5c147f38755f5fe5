# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Winograd's convolution against the plain one in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from mmseg_lrr.ops import winograd
from mmseg_lrr.ops.winograd import conv2d, winograd_conv2d


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 2e-5) -> None:
    """Errors relative to the greatest value."""
    assert found.shape == expected.shape
    assert (found.double() - expected).abs().max() < tolerance * expected.abs().max()


# (batch, channels, filters, height, width, padding): whole tiles, ragged tiles, several chunks of
# rows, several chunks of images, of single tiles too, several groups of filters either way, a map
# smaller than a tile.
@pytest.mark.parametrize('batch, channels, filters, height, width, padding', [
    (1, 3, 4, 8, 12, 0), (1, 3, 4, 8, 12, 2), (2, 5, 3, 33, 17, 1), (2, 5, 3, 33, 17, 4),
    (1, 2, 3, 97, 50, 2), (150, 2, 3, 12, 12, 2), (150, 3, 2, 8, 8, 0), (1, 300, 250, 9, 8, 2),
    (1, 2, 2, 3, 2, 2)])
def test_scores_and_gradients(
        batch: int, channels: int, filters: int, height: int, width: int, padding: int) -> None:
    x = torch.randn(batch, channels, height, width).requires_grad_()
    weight = torch.randn(filters, channels, 5, 5).requires_grad_()
    bias = torch.randn(filters).requires_grad_()
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    grad = torch.randn(expected.shape)
    found = winograd_conv2d(x, weight, bias, padding)
    assert_close(found, expected)
    wanted = torch.autograd.grad(expected, (x, weight, bias), grad.double())
    # In full precision wherever backward() is called.
    with torch.autocast('cpu', dtype=torch.bfloat16):
        grads = torch.autograd.grad(found, (x, weight, bias), grad)
    for one, other in zip(grads, wanted, strict=True):
        assert_close(one, other)


def test_many_channels_stay_accurate() -> None:
    """Rounding errors of the transforms, at the widths of a ResNet's 8x level."""
    x, weight = torch.randn(1, 512, 16, 16).relu(), 0.01 * torch.randn(210, 512, 5, 5)
    expected = F.conv2d(x.double(), weight.double(), padding=2)
    assert_close(winograd_conv2d(x, weight, None, 2), expected)


@pytest.mark.parametrize('constant', [True, False])
def test_gradients_can_be_differentiated(constant: bool) -> None:
    x, weight, bias = torch.randn(1, 3, 12, 9), torch.randn(4, 3, 5, 5), torch.randn(4)
    for tensor in (x, weight, bias):
        tensor.requires_grad_()
    results = []
    for convolve in (winograd_conv2d, F.conv2d):
        scores = convolve(x, weight, bias, padding=2)
        total = scores.sum() if constant else (scores**2).sum()
        grads = torch.autograd.grad(total, (x, weight, bias), create_graph=True)
        penalty = sum((grad**2).sum() for grad in grads)
        results.append(torch.autograd.grad(penalty, (x, weight), materialize_grads=True))
    for one, other in zip(*results, strict=True):
        assert other.abs().max() > 1
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize('bias', [torch.ones(3), None])
def test_the_result_may_be_changed_in_place(bias: torch.Tensor | None) -> None:
    x, weight = torch.randn(1, 2, 12, 8).requires_grad_(), torch.randn(3, 2, 5, 5)
    scores = winograd_conv2d(x, weight, bias, 2)
    expected = scores.detach() * 2
    assert torch.equal(scores.mul_(2), expected)
    scores.sum().backward()
    torch.testing.assert_close(x.grad, 2 * torch.autograd.grad(
        F.conv2d(x, weight, bias, padding=2).sum(), x)[0], rtol=1e-4, atol=1e-4)


def test_where_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where it serves and pays; everywhere with the plain convolution's result."""
    calls = []
    original = winograd._convolve
    monkeypatch.setattr(winograd, '_convolve', lambda *args: calls.append(1) or original(*args))

    def taken(x: torch.Tensor, weight: torch.Tensor) -> bool:
        calls.clear()
        found = conv2d(x, weight, None, 2)
        if x.dtype != torch.bfloat16 and found.dtype != torch.bfloat16:
            assert_close(found, F.conv2d(x.double(), weight.double(), padding=2))
        return bool(calls)

    x, weight = torch.randn(1, 64, 16, 32), torch.randn(64, 64, 5, 5)
    assert taken(x, weight)
    assert not taken(x[:, :, :-1], weight)
    assert not taken(x.double(), weight.double())
    assert not taken(x.bfloat16(), weight.bfloat16())
    assert not taken(x[:, :16], weight[:, :16])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert not taken(x, weight)
    calls.clear()
    assert conv2d(x, weight[..., :3, :3], None, 1).shape == x.shape and not calls


def test_tensors_without_values_leave_nothing_behind() -> None:
    winograd._arrays.cache_clear()
    x, weight = torch.rand(1, 32, 40, 40), torch.rand(32, 32, 5, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert winograd_conv2d(x, weight, None, 2).shape == (1, 32, 40, 40)
    expected = F.conv2d(x.double(), weight.double(), padding=2)
    assert_close(winograd_conv2d(x, weight, None, 2), expected)
