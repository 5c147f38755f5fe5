# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Winograd's convolution against the plain one in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from mmseg_lrr.models.layers import CoefficientConv
from mmseg_lrr.ops import winograd
from mmseg_lrr.ops.winograd import winograd_conv2d, winograd_pays

# (batch, channels, filters, height, width): whole tiles, ragged tiles, several chunks of rows,
# several chunks of images, of single tiles too, several groups of filters
# either way, a map smaller than a tile.
SHAPES = [(1, 3, 4, 8, 12), (2, 5, 3, 33, 17), (1, 2, 3, 97, 50), (150, 2, 3, 12, 12),
          (150, 3, 2, 8, 8),
          (1, 300, 250, 9, 8), (1, 2, 2, 3, 2)]


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('padding', [0, 1, 2, 4])
def test_scores_and_gradients(shape: tuple[int, ...], padding: int) -> None:
    batch, channels, filters, height, width = shape
    if min(height, width) + 2 * padding < 5:
        pytest.skip('the map is smaller than the filter')
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, height, width, generator=generator).requires_grad_()
    weight = torch.randn(filters, channels, 5, 5, generator=generator).requires_grad_()
    bias = torch.randn(filters, generator=generator).requires_grad_()
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    grad = torch.randn(expected.shape, generator=generator)
    found = winograd_conv2d(x, weight, bias, padding)
    assert found.shape == expected.shape
    for name, one, other in zip(
            ('scores', 'x', 'weight', 'bias'),
            (found, *torch.autograd.grad(found, (x, weight, bias), grad)),
            (expected, *torch.autograd.grad(expected, (x, weight, bias), grad.double())),
            strict=True):
        error = (one.double() - other).abs().max() / other.abs().max()
        assert error < 2e-5, f'{name}: {error}'


def test_many_channels_stay_accurate() -> None:
    """Rounding errors of the transforms, at the widths of a ResNet's 8x level."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 512, 16, 16, generator=generator).relu()
    weight = 0.01 * torch.randn(210, 512, 5, 5, generator=generator)
    expected = F.conv2d(x.double(), weight.double(), padding=2)
    error = (winograd_conv2d(x, weight, None, 2) - expected).abs().max() / expected.abs().max()
    assert error < 2e-5


@pytest.mark.parametrize('constant', [True, False])
def test_gradients_can_be_differentiated(constant: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 12, 9, generator=generator).requires_grad_()
    weight = torch.randn(4, 3, 5, 5, generator=generator).requires_grad_()
    bias = torch.randn(4, generator=generator).requires_grad_()
    found, expected = [], []
    for results, convolve in ((found, winograd_conv2d), (expected, F.conv2d)):
        scores = convolve(x, weight, bias, padding=2)
        total = scores.sum() if constant else (scores**2).sum()
        grads = torch.autograd.grad(total, (x, weight, bias), create_graph=True)
        penalty = sum((grad**2).sum() for grad in grads)
        results += torch.autograd.grad(penalty, (x, weight), materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 1
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize('size', [(12, 8), (11, 9)])
@pytest.mark.parametrize('bias', [torch.ones(3), None])
def test_the_result_may_be_changed_in_place(size: tuple, bias: torch.Tensor | None) -> None:
    x, weight = torch.randn(1, 2, *size).requires_grad_(), torch.randn(3, 2, 5, 5)
    scores = winograd_conv2d(x, weight, bias, 2)
    expected = scores.detach() * 2
    assert torch.equal(scores.mul_(2), expected)
    scores.sum().backward()
    torch.testing.assert_close(x.grad, 2 * torch.autograd.grad(
        F.conv2d(x, weight, bias, padding=2).sum(), x)[0], rtol=1e-4, atol=1e-4)


def test_not_asked_gradients_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args) -> None:
        raise AssertionError('not asked for')

    x = torch.randn(1, 2, 8, 8).requires_grad_()
    weight = torch.randn(3, 2, 5, 5)
    out = winograd_conv2d(x, weight, None, 2)
    monkeypatch.setattr(winograd, '_weight_gradient', refuse)
    out.sum().backward()
    assert x.grad is not None


def test_where_it_serves() -> None:
    x, weight = torch.randn(1, 64, 32, 32), torch.randn(64, 64, 5, 5)
    assert winograd_pays(x, weight, 512)
    assert not winograd_pays(x, weight, 511)
    assert not winograd_pays(x.double(), weight.double(), 1024)
    assert not winograd_pays(x.bfloat16(), weight.bfloat16(), 1024)
    assert not winograd_pays(x, weight[..., :3, :3], 1024)
    assert not winograd_pays(x[:, :16], weight[:, :16], 1024)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert not winograd_pays(x, weight, 1024)


@pytest.mark.parametrize('active', [None, 'most', 'some'])
def test_the_layer_takes_it(active: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole maps and tiles, with the same scores as without it; tiles only where they pay."""
    conv = CoefficientConv(32, 40, 5)
    torch.nn.init.normal_(conv.weight, std=0.05)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 32, 40, 44)
    tiles = None
    if active:
        tiles = torch.zeros(2, 10, 11, dtype=torch.bool)
        tiles[:, :8 if active == 'most' else 4] = True
    calls = []
    original = winograd._convolve
    monkeypatch.setattr(
        winograd, '_convolve', lambda *args: calls.append(1) or original(*args))
    with torch.no_grad():
        found = conv(x, tiles)
        expected = F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=2)
    assert calls
    if active == 'some':
        assert (found[:, :, 16:] == 0).all()
        expected[:, :, 16:] = 0
    torch.testing.assert_close(found.double(), expected, rtol=0,
                               atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize('active', [False, True])
def test_the_layer_leaves_it_where_it_is_told_to(active: bool,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args) -> None:
        raise AssertionError('not wanted')

    monkeypatch.setattr(winograd, '_convolve', refuse)
    conv = CoefficientConv(32, 40, 5, winograd=False)
    torch.nn.init.normal_(conv.weight, std=0.05)
    x = torch.randn(1, 32, 40, 44)
    tiles = None
    if active:
        tiles = torch.zeros(1, 10, 11, dtype=torch.bool)
        tiles[:, :5] = True
    expected = F.conv2d(x.double(), conv.weight.double(), padding=2)
    if active:
        expected[:, :, 20:] = 0
    torch.testing.assert_close(conv(x, tiles).double(), expected, rtol=0,
                               atol=3e-6 * float(expected.abs().max()))


def test_an_image_is_gated_by_its_own_tiles() -> None:
    """One that needs few keeps to them beside one that needs most, and the other way round."""
    conv = CoefficientConv(32, 40, 5)
    torch.nn.init.normal_(conv.weight, std=0.05)
    x = torch.randn(2, 32, 40, 44)
    tiles = torch.zeros(2, 10, 11, dtype=torch.bool)
    tiles[0, :4] = tiles[1, :8] = True
    both = conv(x, tiles)
    for image in range(2):
        alone = conv(x[image:image + 1], tiles[image:image + 1])
        torch.testing.assert_close(both[image:image + 1], alone, rtol=0, atol=1e-4)
    assert (both[0, :, 16:] == 0).all() and (both[1, :, 32:] != 0).any()


def test_gradients_stay_exact_in_another_precision() -> None:
    """Where backward() is called within autocast, and the convolution was not."""
    x = torch.randn(1, 32, 40, 44, requires_grad=True)
    weight = torch.randn(32, 32, 5, 5, requires_grad=True)
    upstream = torch.randn(1, 32, 40, 44)
    expected = torch.autograd.grad(
        F.conv2d(x.double(), weight.double(), padding=2), (x, weight), upstream.double())
    scores = winograd_conv2d(x, weight, None, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = torch.autograd.grad(scores, (x, weight), upstream)
    for grad, other in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=0, atol=3e-5 * float(other.abs().max()))


def test_tensors_without_values_leave_nothing_behind() -> None:
    winograd._arrays.cache_clear()
    x, weight = torch.rand(1, 32, 40, 40), torch.rand(32, 32, 5, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert winograd_conv2d(x, weight, None, 2).shape == (1, 32, 40, 40)
    expected = F.conv2d(x.double(), weight.double(), padding=2)
    torch.testing.assert_close(winograd_conv2d(x, weight, None, 2).double(), expected, rtol=0,
                               atol=2e-5 * float(expected.max()))
