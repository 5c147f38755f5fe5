# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head stopped at a level, checkpointed, compiled and in other layouts and precisions."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_lrr.models.decode_heads import LRRHead

from ...toolbox import since_torch

CHANNELS = (4, 6, 8, 10)


def build(channels: tuple[int, ...] = CHANNELS, **options) -> LRRHead:
    torch.manual_seed(0)
    head = LRRHead(in_channels=channels, num_classes=5, num_bases=3, **options)
    for level in head.levels.values():
        torch.nn.init.normal_(level.coefficients.weight, std=.05)
    return head


def features(height: int = 64, width: int = 96) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, channels, -(-height // stride), -(-width // stride), generator=generator)
            for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)]


def loss(head: LRRHead, device: str = 'cpu', height: int = 64, width: int = 96) -> Tensor:
    labels = torch.randint(5, (2, 1, height, width), generator=torch.Generator().manual_seed(2))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=item)) for item in labels.to(device)]
    losses = head.loss([item.to(device) for item in features(height, width)], samples, None)
    return sum(value for name, value in losses.items() if 'loss' in name)


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


# ------------------------------------------------------------------------------- work that is saved


@pytest.mark.parametrize('mask', [dict(type='BoundaryMask'), None])
@pytest.mark.parametrize('level, count', [('32x', 1), ('8x', 3), ('4x', 4)])
def test_stopping_at_a_level(level: str, count: int, mask: dict | None) -> None:
    """Nothing finer is computed, and the output is what the whole network says at the level."""
    head, maps = build(boundary_mask=mask), features(130, 190)
    whole, judged = head.forward_levels(maps), head.level_scores(maps)
    computed = []
    for name, one in head.levels.items():
        one.register_forward_hook(lambda *_, name=name: computed.append(name))
    stopped = head.level_scores(maps, test_cfg=dict(last_level=level))
    assert list(stopped) == computed == list(head.levels)[:count]
    for name, (scores, stride) in stopped.items():
        assert torch.equal(scores, judged[name][0]) and stride == judged[name][1]
    plain = head.forward_levels(maps, last_level=level)
    assert all(torch.equal(scores, whole[name]) for name, scores in plain.items())
    (only, (scores, stride)), = head.level_scores(maps, False, dict(last_level=level)).items()
    assert only == level and torch.equal(scores, judged[level][0])
    predicted = head.predict(maps, [dict(img_shape=(130, 190))], dict(last_level=level))
    expected = F.interpolate(scores, scale_factor=stride, mode='bilinear')[:, :, :130, :190]
    torch.testing.assert_close(predicted, expected)
    # So are the masks, of which the coarsest level has none.
    masks, all_masks = head.level_masks(plain), head.level_masks(whole)
    assert list(masks) == (list(head.levels)[1:count] if mask else [])
    assert all(torch.equal(item, all_masks[name]) for name, item in masks.items())


@torch.no_grad()
def test_class_gating() -> None:
    """What the head and its test_cfg pass on; a level's own arithmetic has a test beside it."""
    head, maps = build(), features(130, 190)
    whole, gated = head.forward_levels(maps), head.forward_levels(maps, class_threshold=0.7)
    coarser = None
    for (name, level), feature in zip(head.levels.items(), reversed(maps), strict=True):
        coarser = level(feature, coarser, 0.7)
        assert torch.equal(coarser, gated[name])
        assert torch.equal(coarser, whole[name]) == (name == '32x')
    judged = head.level_scores(maps, test_cfg=dict(class_threshold=0.7, last_level='8x'))
    assert list(judged) == ['32x', '16x', '8x']
    stopped = head.levels['4x'].upsample(gated['8x'], maps[0].shape[2:])
    assert torch.equal(judged['8x'][0], stopped)
    assert_same(head.forward_levels(maps, class_threshold=1e-9).values(), whole.values(), 1e-6)


def test_checkpointing_gives_the_same_gradients() -> None:
    found = []
    for with_cp in (False, True):
        head = build(with_cp=with_cp).train()
        loss(head, height=130, width=190).backward()
        found.append({name: parameter.grad for name, parameter in head.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)
        assert gradient.abs().sum() > 0


# ------------------------------------------------------------------------------- other ways


def test_channels_last() -> None:
    head = build(dilation_erosion=None)
    expected = head.forward_levels(features())
    expected_gradients = gradients(head, head.forward_levels, features())
    head.to(memory_format=torch.channels_last)
    maps = [item.to(memory_format=torch.channels_last) for item in features()]
    assert_same(head.forward_levels(maps).values(), expected.values(), 1e-5)
    assert_same(gradients(head, head.forward_levels, maps), expected_gradients, 1e-5)


@pytest.mark.parametrize('class_threshold', [0, 0.4])
@pytest.mark.parametrize('dtype, relative', [
    (torch.bfloat16, 0.03), pytest.param(
        torch.float16, 0.005, marks=since_torch('2.3', 'has no float16 autocast on a CPU'))])
def test_autocast(dtype: torch.dtype, relative: float, class_threshold: float) -> None:
    """Only the convolutions round to the short type: 8 bits of bfloat16, 11 of float16."""
    head = build()
    expected = head.forward_levels(features(), class_threshold=class_threshold)
    with torch.autocast('cpu', dtype=dtype):
        scores = head.forward_levels(features(), class_threshold=class_threshold)
    assert_same(scores.values(), expected.values(), relative)


def test_traced_for_a_compiler() -> None:
    """Up to the code generation, which would need a compiler; small, as tracing takes long."""
    head = build(CHANNELS[2:], dilation_erosion=None, boundary_mask=dict(
        type='BoundaryMask', window=3))
    maps = [item.requires_grad_() for item in features()[2:]]
    traced = torch.compile(head.forward_levels, backend='aot_eager')
    assert_same(traced(maps).values(), head.forward_levels(maps).values(), 1e-5)
    assert_same(gradients(head, traced, maps), gradients(head, head.forward_levels, maps), 1e-5)


SIZES = ((64, 96), (96, 64), (128, 160))


@pytest.mark.slow
def test_compiled() -> None:
    """With the default backend (it needs a C++ compiler): a second size makes the sizes symbols."""
    head = build(dilation_erosion=None)
    compiled = torch.compile(head.forward_levels)
    with torch.no_grad():
        for size in SIZES:
            maps = features(*size)
            assert_same(compiled(maps).values(), head.forward_levels(maps).values(), 1e-5)


@pytest.mark.slow
def test_compiled_for_training() -> None:
    """A program a size: torch 2.14 cannot sort symbolic strides of what backward keeps."""
    head = build(dilation_erosion=None)
    compiled = torch.compile(head.forward_levels, dynamic=False)
    for size in SIZES[:2]:
        maps = features(*size)
        assert_same(compiled(maps).values(), head.forward_levels(maps).values(), 1e-5)
    assert_same(gradients(head, compiled, features()),
                gradients(head, head.forward_levels, features()), 1e-5)


class NoSynchronisation(TorchDispatchMode):
    """Refuse the operators that read a value, or a shape that depends on values, from a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = [index for index in (args[1] if name in ('index', 'index_put') else ())
                 if index is not None and index.dtype == torch.bool]
        assert not masks and name not in (
            '_local_scalar_dense', 'nonzero', 'bincount', 'unique', '_unique2', 'masked_select',
            'item', 'equal', 'is_nonzero'), f'{name} makes a GPU wait'
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('options', [
    dict(loss_decode=dict(type='LevelCrossEntropyLoss', class_weight=[1.] * 5)),
    pytest.param(dict(boundary_mask=None, with_cp=True), marks=since_torch(
        '2.4', 'looks for a module of that name when it checkpoints on the meta device')),
], ids=['masked, DE', 'unmasked, checkpointed'])
def test_a_training_step_never_waits_for_the_device(options: dict) -> None:
    """On the meta device, which has shapes and no values, as a GPU's way of doing things."""
    head = build(**options)
    head.set_bases(torch.randn(5, 3, 32, 32))
    loss(head).backward()  # what is looked at once: whether there are basis functions
    head.to('meta').zero_grad()
    with NoSynchronisation():
        loss(head, 'meta').backward()
    assert all(parameter.grad.device.type == 'meta' for parameter in head.parameters())


@torch.no_grad()
def test_class_gating_waits_once_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, read = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda self: waits.append(1) or read(self))
    with NoSynchronisation():
        build().forward_levels(features(), class_threshold=0.4)
    assert len(waits) == 3
