# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The sliding range against loops, and its gradient against the toolbox's pooling layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_lrr.ops.sliding import sliding_range

from .. import references
from ..toolbox import since_torch

WINDOWS = (1, 3, 9, 17)
# Heights and widths, many of them smaller than the larger windows.
SIZES = ((1, 1), (1, 7), (9, 1), (5, 16), (20, 33))


def by_pooling(x: Tensor, window: int) -> Tensor:
    """The same by two pooling layers, as the released network has it."""
    return (F.max_pool2d(x, window, stride=1, padding=window // 2)
            + F.max_pool2d(-x, window, stride=1, padding=window // 2))


def gradient(function, x: Tensor, window: int, upstream: Tensor) -> Tensor:
    """Gradient with respect to ``x``."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x, window), x, upstream)[0]


def whole_numbers(*shape: int) -> Tensor:
    """Gradients whose sums are exact, whatever the order they are added in."""
    return torch.randint(-50, 51, shape).float()


@pytest.fixture(params=['CPU', 'other devices'])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient has two ways; here both run on a CPU."""
    if request.param == 'other devices':
        monkeypatch.setattr('mmseg_lrr.ops.sliding.on_eager_cpu', lambda x: False)


@pytest.mark.usefixtures('_way')
@pytest.mark.parametrize('window', WINDOWS)
def test_equals_loops_and_the_gradient_pooling(window: int) -> None:
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        np.testing.assert_array_equal(
            sliding_range(x, window).numpy(), references.sliding_range(x.numpy(), window))
        upstream = whole_numbers(*x.shape)
        assert torch.equal(gradient(sliding_range, x, window, upstream),
                           gradient(by_pooling, x, window, upstream))


@pytest.mark.usefixtures('_way')
@pytest.mark.parametrize('kind', ['constant', 'one hot', 'few values', 'saturated'])
def test_gradient_at_ties_equals_pooling(kind: str) -> None:
    shape, window = (2, 4, 19, 23), 9
    if kind == 'constant':
        x = torch.full(shape, .25)
    elif kind == 'one hot':
        x = F.one_hot(torch.randint(4, (2, 19, 23)), 4).permute(0, 3, 1, 2).float()
    elif kind == 'few values':
        x = torch.randint(0, 5, shape).float() / 4
    else:  # probabilities of a sure network: exact zeros and ones beside a few others
        x = (60 * torch.randn(shape)).softmax(dim=1)
    upstream = whole_numbers(*shape)
    assert torch.equal(sliding_range(x, window), by_pooling(x, window))
    assert torch.equal(gradient(sliding_range, x, window, upstream),
                       gradient(by_pooling, x, window, upstream))


@pytest.mark.usefixtures('_way')
def test_more_planes_than_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    # More planes of 200x300 than a chunk holds, and not a multiple of it.
    monkeypatch.setattr('mmseg_lrr.ops.sliding._GPU_CHUNK', 1 << 18)
    x = torch.randn(1, 10, 200, 300)
    upstream = whole_numbers(*x.shape)
    assert torch.equal(sliding_range(x, 9), by_pooling(x, 9))
    assert torch.equal(gradient(sliding_range, x, 9, upstream),
                       gradient(by_pooling, x, 9, upstream))


@pytest.mark.parametrize('x', [
    torch.rand(2, 3, 16, 9).transpose(2, 3)[..., 1::2],
    torch.rand(2, 3, 8, 9).to(memory_format=torch.channels_last),
    torch.rand(1, 1, 8, 9).expand(2, 3, 8, 9),
], ids=['strided', 'channels last', 'expanded'])
def test_any_memory_layout(x: Tensor) -> None:
    upstream = whole_numbers(*x.shape).transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(sliding_range(x, 5), by_pooling(x.contiguous(), 5))
    leaf = x.detach().requires_grad_()
    grads = torch.autograd.grad(sliding_range(leaf, 5), leaf, upstream)[0]
    assert torch.equal(grads, gradient(by_pooling, x.contiguous(), 5, upstream))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
def test_other_types(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 11, 12).to(dtype)
    out = sliding_range(x, 9)
    assert out.dtype == dtype
    # Extrema are exact in any type; one rounding is left, of the difference.
    high = F.max_pool2d(x.double(), 9, 1, 4)
    low = -F.max_pool2d(-x.double(), 9, 1, 4)
    assert torch.equal(out, (high - low).to(dtype))
    upstream = torch.randint(-1, 2, x.shape).to(dtype)
    grads = gradient(sliding_range, x, 9, upstream)
    assert grads.dtype == dtype
    # Sums of a few ones are exact in bfloat16, too.
    assert torch.equal(grads.double(),
                       gradient(by_pooling, x.double(), 9, upstream.double()))


def test_keeps_its_input_alone_for_the_gradient() -> None:
    saved = []
    x = torch.randn(2, 3, 32, 33, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        sliding_range(x, 9)
    assert [t.data_ptr() for t in saved] == [x.data_ptr()]


@since_torch('2.3', 'does not compile functions with a backward of their own')
def test_compiled_gradient_at_ties_equals_pooling() -> None:
    """One program for several sizes, and the gradient where the uncompiled one sends it."""
    compiled = torch.compile(sliding_range, backend='aot_eager', fullgraph=True)
    for size in ((19, 23), (4, 30)):
        x = torch.randint(0, 4, (2, 3, *size)).float()
        upstream = whole_numbers(*x.shape)
        assert torch.equal(compiled(x.clone().requires_grad_(), 5), by_pooling(x, 5))
        assert torch.equal(gradient(compiled, x, 5, upstream),
                           gradient(by_pooling, x, 5, upstream))


def test_plain_operators_for_exporters(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, 8, 9)
    expected = sliding_range(x, 5)
    monkeypatch.setattr('torch.onnx.is_in_onnx_export', lambda: True)
    out = sliding_range(x.requires_grad_(), 5)
    assert torch.equal(out, expected)
    assert 'SlidingRange' not in type(out.grad_fn).__name__


def test_the_result_may_be_changed_in_place() -> None:
    x = torch.randn(2, 3, 6, 5).requires_grad_()
    out = sliding_range(x, 3)
    assert torch.equal(out.mul_(2), by_pooling(x.detach(), 3) * 2)
    out.sum().backward()
    assert x.grad.abs().sum() > 0


def test_cannot_be_differentiated_twice() -> None:
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    first, = torch.autograd.grad((sliding_range(x, 3)**2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='twice'):
        first.sum().backward()
