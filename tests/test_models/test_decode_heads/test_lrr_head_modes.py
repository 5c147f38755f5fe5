# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head compiled, in half precision and on channels_last maps gives the eager scores."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

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
    return [level.coefficients.weight.grad.clone() for level in head.levels.values()] + [
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


class NoSynchronisation(TorchDispatchMode):
    """Refuse the operators that read a value, or a shape that depends on values, from a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        name = func.overloadpacket.__name__
        masks = [index for index in (args[1] if name in ('index', 'index_put') else ())
                 if index is not None and index.dtype == torch.bool]
        assert not masks and name not in (
            '_local_scalar_dense', 'nonzero', 'bincount', 'unique', '_unique2', 'masked_select',
            'item', 'equal', 'is_nonzero'), f'{name} makes a GPU wait'
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('options', [
    dict(loss_decode=dict(type='LevelCrossEntropyLoss', class_weight=[1.] * 5)),
    dict(boundary_mask=None, with_cp=True),
], ids=['masked, DE', 'unmasked, checkpointed'])
def test_a_training_step_never_waits_for_the_device(options: dict) -> None:
    """On the meta device, which has shapes and no values, as a GPU's way of doing things."""
    head = LRRHead(in_channels=CHANNELS, num_classes=5, num_bases=3, **options)
    head.set_bases(torch.randn(5, 3, 32, 32))
    labels = torch.randint(5, (2, 1, 64, 96))

    def step(device: str) -> None:
        samples = [SegDataSample(gt_sem_seg=PixelData(data=item)) for item in labels.to(device)]
        losses = head.loss([item.to(device) for item in features()], samples, None)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    step('cpu')  # what is looked at once: whether there are basis functions
    head.to('meta').zero_grad()
    with NoSynchronisation():
        step('meta')
    assert all(parameter.grad.device.type == 'meta' for parameter in head.parameters())
