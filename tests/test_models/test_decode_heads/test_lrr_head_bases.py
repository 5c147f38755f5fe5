# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""How basis functions get into the head, and how a checkpoint carries them."""

import logging

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_lrr.models.decode_heads import LRRHead

LEVELS = ['32x', '16x', '8x', '4x']


def build(levels: int = 4, **options) -> LRRHead:
    options = {'in_channels': [3, 4, 5, 6][-levels:], 'num_classes': 3, **options}
    return MODELS.build(dict(type='LRRHead', **options))


def bases_of(head: LRRHead) -> dict[str, torch.Tensor]:
    return {
        name: level.reconstruction.bases.detach().clone()
        for name, level in head.levels.items()
    }


def random_bases(num_classes: int = 3, num_bases: int = 10) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(num_classes, num_bases, 32, 32)).astype('float32')


@pytest.mark.parametrize('kind', ['array', 'tensor'])
def test_one_set_fills_every_level(kind: str) -> None:
    head = build(reconstruction_factor=8)
    before = bases_of(head)
    new = random_bases()
    head.set_bases(new if kind == 'array' else torch.from_numpy(new))
    after = bases_of(head)
    assert head.bases_loaded
    assert torch.equal(after['32x'], after['16x']) and torch.equal(after['16x'], after['8x'])
    assert after['4x'].shape == (3, 10, 8, 8) and after['8x'].shape == (3, 10, 16, 16)
    for level in LEVELS:
        assert not torch.equal(after[level], before[level])
        # A resize keeps means, nearly: 16 or 64 pixels become one.
        np.testing.assert_allclose(after[level].mean(dim=(2, 3)), new.mean(axis=(2, 3)), atol=.01)


@pytest.mark.parametrize('shape', [(3, 10, 8, 8), (4, 10, 32, 32)])
def test_refuses_bases_of_another_shape(shape: tuple[int, ...]) -> None:
    head = build()
    with pytest.raises(ValueError, match=r'\(3, 10, 32, 32\)') as error:
        head.set_bases(torch.zeros(shape))
    assert str(shape) in str(error.value)
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
@pytest.mark.parametrize('inside', [False, True], ids=['head', 'model'])
def test_stage_1_brings_the_bases_of_stage_2(loader: str, inside: bool) -> None:
    coarse, full = build(1), build(4)
    coarse.set_bases(random_bases())
    source, target = coarse, full
    if inside:  # as a segmentor holds it
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


def test_another_number_of_classes_takes_nothing_over() -> None:
    head = build(num_classes=4)
    head.set_bases(random_bases(4))
    other = build()
    before = bases_of(other)
    load_state_dict(other, head.state_dict(), strict=False)
    assert not other.bases_loaded
    for level, bases in bases_of(other).items():
        assert torch.equal(bases, before[level])


def test_stage_2_at_factor_8_lacks_those_of_4x() -> None:
    """Its 4x level has other basis functions (u = 4), so the flag must ask for a new set."""
    coarse, full = build(1, reconstruction_factor=8), build(4, reconstruction_factor=8)
    coarse.set_bases(random_bases())
    load_state_dict(full, coarse.state_dict(), strict=False)
    assert not full.bases_loaded


def test_learned_bases_load_from_frozen_ones_and_get_gradients() -> None:
    frozen, learned = build(), build(learned_bases=True)
    frozen.set_bases(random_bases())
    learned.load_state_dict(frozen.state_dict())
    assert learned.bases_loaded
    features = [torch.randn(1, c, s, s) for c, s in zip([3, 4, 5, 6], [8, 4, 2, 1], strict=True)]
    for level in learned.levels.values():
        torch.nn.init.normal_(level.coefficients.weight, std=.1)
    learned(features).square().sum().backward()
    for level in LEVELS:
        bases = learned.levels[level].reconstruction.bases
        assert isinstance(bases, torch.nn.Parameter) and bases.grad.abs().max() > 0
    learned.set_bases(random_bases() + 1)
    assert isinstance(learned.levels['4x'].reconstruction.bases, torch.nn.Parameter)


def test_training_on_cosines_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32, dtype=torch.int64)))
    said = []
    monkeypatch.setattr('mmseg_lrr.models.decode_heads.lrr_head.print_log',
                        lambda message, logger=None, level=logging.INFO: said.append(
                            (message, level)))
    head = build(1)
    for _ in range(3):
        head.loss([torch.zeros(1, 6, 1, 1)], [sample], None)
    assert len(said) == 1
    assert 'cosine' in said[0][0] and 'ClassBasesHook' in said[0][0]
    assert said[0][1] == logging.WARNING
    said.clear()
    head = build(1)
    head.set_bases(random_bases())
    head.loss([torch.zeros(1, 6, 1, 1)], [sample], None)
    assert said == []
