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
    coarse, full = build(1), build(4)
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
    (dict(levels=1, reconstruction_factor=8), dict(reconstruction_factor=8)),
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
    head = build(1)
    for _ in range(3):
        head.loss([torch.zeros(1, 6, 1, 1)], [sample], None)
    assert len(said) == 1
    assert 'cosine' in said[0][0] and 'ClassBasesHook' in said[0][0]
    assert said[0][1] == logging.WARNING
