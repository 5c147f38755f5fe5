# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Stage 2 starts from stage 1 with new levels that contribute exactly nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint, save_checkpoint
from mmseg.registry import MODELS
from references import resize_bilinear, upsample2x_zeros
from test_configs.small_world import NAMES, cut_down, load

from mmseg_lrr.ops.resampling import upsample2x

SECOND = [name for name in NAMES if load(name).load_from]


def stage_1_of(name: str) -> str:
    return Path(load(name).load_from).parent.name


def build(name: str, tmp_path: Path) -> torch.nn.Module:
    cfg = cut_down(load(name), tmp_path, narrow=True)
    return MODELS.build(cfg.model).eval()


def start_of_stage_2(name: str, tmp_path: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A network as stage 1 could leave it, and stage 2's with its checkpoint loaded."""
    first = build(stage_1_of(name), tmp_path)
    for parameter in first.decode_head.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    if hasattr(first.decode_head, 'set_bases'):
        classes, bases = first.decode_head.num_classes, first.decode_head.num_bases
        first.decode_head.set_bases(torch.randn(classes, bases, 32, 32))
    path = tmp_path / 'stage_1.pth'
    save_checkpoint(dict(meta={}, state_dict=first.state_dict()), str(path))
    second = build(name, tmp_path)
    load_checkpoint(second, str(path), map_location='cpu', logger='silent')
    return first, second.eval()


#: Some of each kind; the others take long.
QUICK = ['lrr4x_vgg16_voc', 'lrr4x_r18_camvid_stage2']
LONG = [name for name in SECOND if name.startswith('lrr') and name not in QUICK]


@pytest.mark.parametrize(
    'name', [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_new_levels_contribute_nothing(name: str, tmp_path: Path) -> None:
    first, second = start_of_stage_2(name, tmp_path)
    for size in ((64, 96), (75, 90)):
        image = torch.randn(1, 3, *size)
        with torch.no_grad():
            start = first.decode_head.forward_levels(first.extract_feat(image))['32x']
            levels = second.decode_head.forward_levels(second.extract_feat(image))
        assert torch.equal(levels.pop('32x'), start)
        assert start.std() > 0
        assert len(levels) == len(second.decode_head.in_channels) - 1
        exact, slow = start, start.double().numpy()
        for scores in levels.values():
            height, width = scores.shape[2:]
            exact = upsample2x(exact)[:, :, :height, :width]
            slow = upsample2x_zeros(slow)[:, :, :height, :width]
            assert torch.equal(scores, exact)
            np.testing.assert_allclose(scores, slow, rtol=1e-4, atol=1e-4 * np.abs(slow).max())


@pytest.mark.parametrize('name', ['lrr4x_r18_camvid_stage2'])
def test_bases_and_branches_come_along(name: str, tmp_path: Path) -> None:
    first, second = start_of_stage_2(name, tmp_path)
    assert second.decode_head.bases_loaded
    bases = first.decode_head.reconstructions['32x'].bases
    for level in second.decode_head.levels:
        assert torch.equal(second.decode_head.reconstructions[level].bases, bases)
    state = second.state_dict()
    for key, value in first.state_dict().items():
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize(
    'name', ['fcn16s_vgg16_voc', pytest.param('fcn8s_vgg16_voc', marks=pytest.mark.slow)])
def test_new_scores_of_fcn_contribute_nothing(name: str, tmp_path: Path) -> None:
    first, second = start_of_stage_2(name, tmp_path)
    for level in second.decode_head.levels:
        if level not in first.decode_head.levels:
            assert not second.decode_head.scores[level].weight.any()
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        # Scores before the last, fixed upsampling.
        coarse = first.decode_head(first.extract_feat(image))
        fine = second.decode_head(second.extract_feat(image))
        step = first.decode_head.strides[0]
        maps = first.extract_feat(image)
        total = None
        for level, index in zip(first.decode_head.levels, reversed(first.decode_head.in_index),
                                strict=True):
            feature = maps[index]
            if level != '32x':
                feature = torch.nn.functional.max_pool2d(feature, 2, ceil_mode=True)
            score = first.decode_head.scores[level](feature)
            total = score if total is None else first.decode_head.upsamples[level](total) + score
    total = total.double().numpy()
    np.testing.assert_allclose(coarse, resize_bilinear(total, 96, 64), rtol=1e-3, atol=1e-4)
    again = resize_bilinear(upsample2x_zeros(total), 96, 64)
    np.testing.assert_allclose(fine, again, rtol=1e-3, atol=1e-4)
    assert second.decode_head.strides[0] == step // 2


@pytest.mark.parametrize('name', SECOND)
def test_stage_1_is_there_and_fits(name: str) -> None:
    cfg = load(name)
    first = load(stage_1_of(name))
    last = first.train_cfg.get('max_epochs')
    expected = f'epoch_{last}.pth' if last else f'iter_{first.train_cfg.max_iters}.pth'
    assert Path(cfg.load_from).name == expected
    assert cfg.model.backbone.get('init_cfg') is None or 'r18' in name
    for key in ('mean', 'std'):
        assert cfg.model.data_preprocessor[key] == first.model.data_preprocessor[key]
    for loader in ('train_dataloader', 'val_dataloader'):
        assert cfg[loader].dataset == first[loader].dataset
    head, before = cfg.model.decode_head, first.model.decode_head
    assert head.num_classes == before.num_classes
    assert head.get('dilation_erosion') == before.get('dilation_erosion')
    assert head.in_channels[-len(before.in_channels):] == before.in_channels
