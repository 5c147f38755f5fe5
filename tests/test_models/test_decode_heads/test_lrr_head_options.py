# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the head is built of, what it refuses and says, and where its basis functions come from."""

import logging

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_lrr.models.decode_heads import LRRHead
from mmseg_lrr.models.decode_heads.checkpoint_filter import rename_keys

LEVELS = ['32x', '16x', '8x', '4x']
CHANNELS = [3, 4, 5, 6]


def build(**options) -> LRRHead:
    options = {'in_channels': CHANNELS, 'num_classes': 3, **options}
    return MODELS.build(ConfigDict(type='LRRHead', **options))


# ------------------------------------------------------------------------------- structure


def test_state_dict_names_and_shapes() -> None:
    expected = {'bases_loaded': ()}
    for level, channels in zip(LEVELS, reversed(CHANNELS), strict=True):
        expected[f'levels.{level}.coefficients.weight'] = (30, channels, 5, 5)
        expected[f'levels.{level}.coefficients.bias'] = (30, )
        expected[f'levels.{level}.reconstruction.bases'] = (3, 10, 8, 8)
    for branch in ('dilation', 'erosion'):
        expected[f'{branch}.coefficients.32x.weight'] = (30, 6, 5, 5)
        expected[f'{branch}.coefficients.32x.bias'] = (30, )
        expected[f'{branch}.bias.32x'] = (3, )
    state = build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


def test_coefficients_start_at_zero_and_stay_there() -> None:
    head = build()
    head.init_weights()
    for name, parameter in head.named_parameters():
        if 'coefficients' in name:
            assert torch.equal(parameter, torch.zeros_like(parameter)), name
        else:
            assert torch.equal(parameter, torch.tensor([1., -1., -1.])), name


def test_windows() -> None:
    """Of the finer levels alone, given fine to coarse; 2u + 1 where None is given."""
    head = build(boundary_mask=dict(type='BoundaryMask', window=[5, None, 11, None]))
    assert {name: level.mask and level.mask.window for name, level in head.levels.items()} == {
        '32x': None, '16x': 11, '8x': 9, '4x': 5}


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(('options', 'message'), [
    (dict(align_corners=True), 'align_corners must be False'),
    (dict(num_classes=1), 'num_classes.*got 1.*use 2'),
    (dict(kernel_size=4), 'kernel_size.*odd.*4'),
    (dict(reconstruction_factor=3), 'reconstruction_factor.*even.*3'),
    (dict(in_channels=[8], strides=[14]), 'got 4 at stride 14, for which 2 or 14 would do'),  # ViT
    (dict(in_channels=[8], strides=[7]), 'got 4 at stride 7, for which none would do'),
    (dict(reconstruction_factor=[4, 4]), 'reconstruction_factor.*4.*2'),
    (dict(reconstruction_factor=[4, 4, 4, 2]), 'reconstruction_factor.*factor of 2 apart'),
    (dict(boundary_mask=dict(type='BoundaryMask', window=[9, 8, 9, 9])), 'window.*odd.*8'),
    (dict(boundary_mask=dict(type='BoundaryMask', window=0)), 'window.*0'),
    (dict(loss_decode=dict(type='LevelCrossEntropyLoss', loss_name='ce')), "'loss_'.*'ce'"),
    (dict(upsample_border='mirror'), "border.*zeros.*replicate.*'mirror'"),
    (dict(strides=[4, 8, 16, 16]), r'strides.*\[4, 8, 16, 16\]'),
    (dict(strides=[16, 32]), r'strides.*\[16, 32\]'),
    (dict(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '8x'])),
     "levels.*gap.*'8x'"),
    (dict(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '16x']),
          loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[32])),
     r'radii.*a list of 2.*\[32\]'),
])
def test_refuses_by_name(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_what_the_head_before_leaves_behind_is_named_at_once() -> None:
    with pytest.raises(TypeError, match='channels, dropout_ratio, norm_cfg: .*_delete_=True'):
        build(channels=512, dropout_ratio=0.1, norm_cfg=dict(type='BN'))


@pytest.mark.parametrize(('options', 'strides', 'masks', 'terms'), [
    (dict(boundary_mask=False, dilation_erosion=False), [4, 8, 16, 32], 0, 0),
    (dict(in_channels=[2, *CHANNELS]), [2, 4, 8, 16, 32], 4, 2),
    (dict(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '16x']),
          loss_dilation_erosion=dict(type='DilationErosionLoss', radii=8)), [4, 8, 16, 32], 3, 4),
], ids=['False for None', 'five maps', 'one radius'])
def test_what_is_legitimate_is_taken(
        options: dict, strides: list[int], masks: int, terms: int) -> None:
    head = build(**options)
    assert list(head.strides) == strides
    assert sum(level.mask is not None for level in head.levels.values()) == masks
    features = [torch.zeros(1, channels, 64 // stride, 96 // stride)
                for channels, stride in zip(head.in_channels, strides, strict=True)]
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 64, 96, dtype=torch.int64)))
    losses = head.loss(features, [sample], None)
    assert sum('dilation' in name or 'erosion' in name for name in losses) == terms


def test_last_level_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="last_level must be one of .*'4x', got '2x'"):
        build().forward_levels([], last_level='2x')


@pytest.mark.parametrize(('options', 'threshold', 'message'), [
    (dict(), 10, 'class_threshold must be a probability, from 0 to 1, got 10'),
    (dict(boundary_mask=None), 0.1, 'class_threshold=0.1 needs boundary masks'),
])
def test_class_thresholds_that_cannot_be(options: dict, threshold: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options).forward_levels([], class_threshold=threshold)


def older_names(head: LRRHead) -> dict[str, torch.Tensor]:
    """The state of a head as it was written when levels were no modules."""
    state = {}
    for name, value in head.state_dict().items():
        kind, _, rest = name.partition('.')
        if kind == 'levels':
            level, layer, tensor = rest.split('.')
            layer = 'reconstructions' if layer == 'reconstruction' else layer
            name = f'{layer}.{level}.{tensor}'
        state[name] = value.clone()
    return state


def test_older_checkpoints_load() -> None:
    head, other = build(), build()
    for value in head.state_dict().values():
        value.copy_(torch.randn(value.shape))
    state = {f'decode_head.{name}': value for name, value in older_names(head).items()}
    assert 'decode_head.coefficients.32x.weight' in state
    assert 'decode_head.dilation.coefficients.32x.weight' in state
    torch.nn.ModuleDict({'decode_head': other}).load_state_dict(state)
    for name, value in head.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert rename_keys(head.state_dict()).keys() == head.state_dict().keys()


def test_wrong_number_of_channels_is_named() -> None:
    head = build(in_channels=[4, 5])
    with pytest.raises(ValueError, match=r'=\[4, 5\].*\[3, 5, 7\].*set in_channels=\[3, 5\]'):
        head.forward_levels([torch.zeros(1, size, 4, 4) for size in (3, 5, 7)])


def test_maps_finer_than_their_strides_are_named() -> None:
    """The first maps of a backbone, read as if they were its last (the default)."""
    features = [torch.zeros(1, 3, 16, 24), torch.zeros(1, 4, 8, 12)]
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 64, 96, dtype=torch.int64)))
    head = build(in_channels=[3, 4])
    with pytest.raises(ValueError, match='strides'):
        head.loss(features, [sample], None)
    with pytest.raises(ValueError, match='strides'):
        head.predict(features, [dict(img_shape=(64, 96))], dict())
    # Said rightly, they serve.
    head = build(in_channels=[3, 4], strides=(4, 8))
    head.loss(features, [sample], None)
    assert head.predict(features, [dict(img_shape=(64, 96))], dict()).shape == (1, 3, 64, 96)


# ------------------------------------------------------------------------------- basis functions


def bases_of(head: LRRHead) -> dict[str, torch.Tensor]:
    return {
        name: level.reconstruction.bases.detach().clone()
        for name, level in head.levels.items()
    }


def random_bases(num_classes: int = 3, num_bases: int = 10) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(num_classes, num_bases, 32, 32)).astype('float32')


def test_one_set_fills_every_level() -> None:
    head = build(reconstruction_factor=8)
    before = bases_of(head)
    new = random_bases()
    head.set_bases(new)
    after = bases_of(head)
    assert head.bases_loaded
    assert torch.equal(after['32x'], after['16x']) and torch.equal(after['16x'], after['8x'])
    assert after['4x'].shape == (3, 10, 8, 8) and after['8x'].shape == (3, 10, 16, 16)
    for level in after:
        assert not torch.equal(after[level], before[level])
        # A resize keeps means, nearly: 16 or 64 pixels become one.
        np.testing.assert_allclose(after[level].mean(dim=(2, 3)), new.mean(axis=(2, 3)), atol=.01)


def test_refuses_bases_of_another_shape() -> None:
    head = build()
    with pytest.raises(ValueError, match=r'\(3, 10, 32, 32\), got \(4, 10, 32, 32\)'):
        head.set_bases(torch.zeros(4, 10, 32, 32))
    assert not head.bases_loaded


def test_flag_travels_with_the_checkpoint() -> None:
    head = build()
    assert not head.bases_loaded
    other = build()
    other.load_state_dict(head.state_dict())
    assert not other.bases_loaded  # cosines are nothing to keep
    head.set_bases(random_bases())
    other.load_state_dict(head.state_dict())
    assert other.bases_loaded
    for level, bases in bases_of(head).items():
        assert torch.equal(bases, bases_of(other)[level])


@pytest.mark.parametrize('loader', ['PyTorch', 'PyTorch, in place', 'MMEngine'])
def test_stage_1_brings_the_bases_of_stage_2(loader: str) -> None:
    coarse, full = build(in_channels=[6]), build()
    coarse.set_bases(random_bases())
    # As a segmentor holds it.
    source, target = (torch.nn.ModuleDict({'decode_head': head}) for head in (coarse, full))
    state = source.state_dict()
    before = set(state)
    if loader == 'MMEngine':
        load_state_dict(target, state, strict=False)
    else:
        found = target.load_state_dict(state, strict=False, assign=loader.endswith('in place'))
        assert found.unexpected_keys == []
    assert set(state) == before  # the checkpoint in hand is left as it was
    assert full.bases_loaded
    for bases in bases_of(full).values():
        assert torch.equal(bases, bases_of(coarse)['32x'])
    names = {level.reconstruction.bases.data_ptr() for level in full.levels.values()}
    assert len(names) == 4  # copies, not views of one


@pytest.mark.parametrize(('source', 'target'), [
    (dict(num_classes=4), dict()),
    # The 4x level has other basis functions (u = 4), so the flag must ask for a new set.
    (dict(in_channels=[6], reconstruction_factor=8), dict(reconstruction_factor=8)),
], ids=['classes', 'factor 8'])
def test_bases_that_do_not_fit_are_not_taken_over(source: dict, target: dict) -> None:
    head, other = build(**source), build(**target)
    head.set_bases(random_bases(head.num_classes))
    before = bases_of(other)
    load_state_dict(other, head.state_dict(), strict=False)
    assert not other.bases_loaded
    assert torch.equal(bases_of(other)['4x'], before['4x'])


def test_learned_bases_load_from_frozen_ones() -> None:
    frozen, learned = build(), build(learned_bases=True)
    frozen.set_bases(random_bases())
    learned.load_state_dict(frozen.state_dict())
    assert learned.bases_loaded
    for name, bases in bases_of(frozen).items():
        layer = learned.levels[name].reconstruction
        assert isinstance(layer.bases, torch.nn.Parameter) and torch.equal(layer.bases, bases)


def test_training_on_cosines_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32, dtype=torch.int64)))
    said = []
    monkeypatch.setattr('mmseg_lrr.models.decode_heads.lrr_head.print_log',
                        lambda message, logger=None, level=logging.INFO: said.append(
                            (message, level)))
    head = build(in_channels=[6])
    for _ in range(3):
        head.loss([torch.zeros(1, 6, 1, 1)], [sample], None)
    assert len(said) == 1
    assert 'cosine' in said[0][0] and 'ClassBasesHook' in said[0][0]
    assert said[0][1] == logging.WARNING
