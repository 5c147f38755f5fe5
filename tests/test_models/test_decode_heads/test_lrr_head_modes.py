# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head compiled, in half precision and on channels_last maps gives the eager scores."""

import pytest
import torch
from torch import Tensor

from mmseg_lrr.models.decode_heads import LRRHead

CHANNELS = (4, 6, 8, 10)


def build() -> LRRHead:
    torch.manual_seed(0)
    head = LRRHead(in_channels=CHANNELS, num_classes=5, num_bases=3, dilation_erosion=None)
    for conv in [level.coefficients for level in head.levels.values()]:
        torch.nn.init.normal_(conv.weight, std=0.05)
    return head


def features(height: int = 64, width: int = 96) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, channels, height // stride, width // stride, generator=generator)
            for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)]


def gradients(head: LRRHead, forward, inputs: list[Tensor]) -> list[Tensor]:
    """Of the parameters and the maps, through every level."""
    head.zero_grad()
    leaves = [item.detach().clone(memory_format=torch.preserve_format).requires_grad_()
              for item in inputs]
    sum(scores.square().mean() for scores in forward(leaves).values()).backward()
    return [conv.weight.grad.clone() for conv in [level.coefficients for level in head.levels.values()]] + [
        leaf.grad for leaf in leaves]


def assert_same(actual, expected, relative: float) -> None:
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(
            one.float(), other, rtol=0, atol=relative * float(other.abs().max()))


def test_channels_last() -> None:
    head = build()
    expected = head.forward_levels(features())
    expected_gradients = gradients(head, head.forward_levels, features())
    head.to(memory_format=torch.channels_last)
    maps = [item.to(memory_format=torch.channels_last) for item in features()]
    assert_same(head.forward_levels(maps).values(), expected.values(), 1e-5)
    assert_same(gradients(head, head.forward_levels, maps), expected_gradients, 1e-5)


@pytest.mark.parametrize('dtype, relative', [(torch.bfloat16, 0.03), (torch.float16, 0.005)])
def test_autocast(dtype: torch.dtype, relative: float) -> None:
    """Only the convolutions round to the short type: 8 bits of bfloat16, 11 of float16."""
    head = build()
    expected = head.forward_levels(features())
    with torch.autocast('cpu', dtype=dtype):
        scores = head.forward_levels(features())
    assert_same(scores.values(), expected.values(), relative)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_mask_is_made_in_float32_under_autocast(dtype: torch.dtype) -> None:
    head = build()
    scores = 5 * torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(2))
    expected = head.levels['4x'].mask(scores)
    with torch.autocast('cpu', dtype=dtype):
        mask = head.levels['4x'].mask(scores)
    assert mask.dtype == torch.float32
    torch.testing.assert_close(mask, expected, rtol=1e-5, atol=1e-6)


SIZES = ((64, 96), (96, 64), (128, 160))


@pytest.mark.slow
def test_compiled() -> None:
    """With the default backend (it needs a C++ compiler): a second size makes the sizes symbols."""
    head = build()
    compiled = torch.compile(head.forward_levels)
    with torch.no_grad():
        for size in SIZES:
            maps = features(*size)
            assert_same(compiled(maps).values(), head.forward_levels(maps).values(), 1e-5)


@pytest.mark.slow
def test_compiled_for_training() -> None:
    """A program a size: torch 2.14 cannot sort symbolic strides of what backward keeps."""
    head = build()
    compiled = torch.compile(head.forward_levels, dynamic=False)
    for size in SIZES[:2]:
        maps = features(*size)
        assert_same(compiled(maps).values(), head.forward_levels(maps).values(), 1e-5)
    assert_same(gradients(head, compiled, features()),
                gradients(head, head.forward_levels, features()), 1e-5)


def test_traced_for_a_compiler() -> None:
    """As above up to the code generation, which needs no compiler."""
    head = build()
    traced = torch.compile(head.forward_levels, backend='aot_eager')
    assert_same(traced(features()).values(), head.forward_levels(features()).values(), 1e-5)
    assert_same(gradients(head, traced, features()),
                gradients(head, head.forward_levels, features()), 1e-5)
