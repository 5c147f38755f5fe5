# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Rates and schedules, parameter by parameter."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmseg.registry import MODELS
from test_configs.small_world import cut_down, load
from toolbox import needs_prefix

LEVELS = ('32x', '16x', '8x', '4x')
#: Dilation and erosion at every level, where the configs have them at the coarsest.
EVERY_DE_LEVEL = dict(
    dilation_erosion=dict(levels=list(LEVELS)), loss_dilation_erosion=dict(radii=[32] * 4))


def groups(name: str, tmp_path: Path, head: dict | None = None) -> dict[str, dict]:
    """Each parameter's group of the optimiser, by the parameter's name."""
    cfg = cut_down(load(name), tmp_path, narrow=True)
    cfg.merge_from_dict(dict(model=dict(decode_head=head or {})))
    # Only names and shapes matter. (Transformers read values while they are built.)
    light = re.search('_(vgg16|r18|r50|r101)_', name)
    with torch.device('meta' if light else 'cpu'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(parameter)], group) for group in optimizer.param_groups
             for parameter in group['params']]
    assert len(found) == len(dict(found)) == len(names)
    return dict(found)


def filters(level: str) -> list[str]:
    """Names of a level's coefficients: the head's own and the branches'."""
    return [f'decode_head.levels.{level}.coefficients',
            f'decode_head.dilation.coefficients.{level}',
            f'decode_head.erosion.coefficients.{level}']


def test_the_whole_network_value_by_value(tmp_path: Path) -> None:
    found = groups('authors/lrr4x_vgg16_voc', tmp_path, EVERY_DE_LEVEL)
    expected = {}
    for level, rate in zip(LEVELS, (6.25e-6, 3.125e-6, 7.8125e-7, 1.220703125e-8), strict=True):
        for name in filters(level):
            expected |= {f'{name}.weight': rate, f'{name}.bias': 1.25e-4}
        expected |= {f'decode_head.{branch}.bias.{level}': 1.25e-4
                     for branch in ('dilation', 'erosion')}
    rates = {name: group['lr'] for name, group in found.items() if 'decode_head' in name}
    assert rates == pytest.approx(expected, rel=1e-12)  # so the basis functions do not learn
    # 13 convolutions and two fully connected layers, a filter and a bias each.
    assert len(found) == 30 + len(rates)
    # The first stage learns 16 times as fast.
    first = groups('authors/lrr32x_vgg16_voc', tmp_path)
    assert all(group['lr'] == pytest.approx(16 * found[name]['lr'], rel=1e-12)
               for name, group in first.items())


def test_fcn_value_by_value(tmp_path: Path) -> None:
    found = groups('fcn8s_vgg16_voc', tmp_path)
    scores = {f'scores.{level}.{kind}': rate for level in ('32x', '16x', '8x')
              for kind, rate in (('weight', 6.25e-6), ('bias', 1.25e-4))}
    upsamples = {f'upsamples.{level}.weight': 6.25e-5 for level in ('16x', '8x')}
    expected = {f'decode_head.{name}': rate for name, rate in (scores | upsamples).items()}
    for name, group in found.items():
        if name.startswith('backbone'):
            expected[name] = 1.25e-4 if name.endswith('.bias') else 6.25e-5
        assert (group['momentum'], group['weight_decay'], group['nesterov']) == (0.9, 5e-4, False)
    assert {name: group['lr'] for name, group in found.items()} == pytest.approx(expected, 1e-12)


@pytest.mark.parametrize(('name', 'base', 'head'), [
    ('lrr4x_r18_camvid', 1e-3, 1),
    ('lrr4x_swin-t_voc12aug_20k-512x512', 6e-5, 10),
    ('lrr4x_convnext-t_voc12aug_20k-512x512', 1e-4, 10),
    ('lrr4x_r50_voc12aug_20k-512x512', 0.01, 1),
    ('lrr4x_vgg16_voc', 1e-3 / 16, 10),
])
def test_one_rate_of_the_head_and_a_hook_that_shares_it_out(
    name: str, base: float, head: float, tmp_path: Path
) -> None:
    found = groups(name, tmp_path, EVERY_DE_LEVEL)
    for part, factor in (('backbone', 1), ('decode_head', head)):
        rates = {group['lr'] for key, group in found.items() if key.startswith(part)}
        assert min(rates) == pytest.approx(base * factor), part
        # VGG-16's biases learn at twice the rate.
        assert max(rates) == pytest.approx(
            base * factor * (2 if 'vgg' in name and part == 'backbone' else 1)), part
    assert dict(type='CoefficientRatesHook') in load(name).custom_hooks
    if 'swin' in name:
        for parameter, group in found.items():
            spared = re.search('norm|relative_position_bias_table', parameter)
            assert group['weight_decay'] == (0 if spared else 0.01), parameter


def test_rates_over_the_epochs() -> None:
    first, second = load('lrr32x_vgg16_voc'), load('lrr4x_vgg16_voc')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = PARAM_SCHEDULERS.build({**first.param_scheduler[0], 'optimizer': optimizer})
    rates = []
    for _ in range(first.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-3] * 50 + [5e-4] * 10 + [2.5e-4] * 5, rel=1e-12)
    assert second.param_scheduler == [] and second.train_cfg.max_epochs == 16
    for stage in (first, second):
        assert [hook.type for hook in stage.custom_hooks] == [
            'ClassBasesHook', 'CoefficientRatesHook', 'ResetMomentumHook']


@needs_prefix
@pytest.mark.parametrize(('theirs', 'name'), [
    ('_base_/schedules/schedule_20k.py', 'lrr4x_r101_voc12aug_20k-512x512'),
    ('_base_/schedules/schedule_40k.py', 'lrr4x_r50_voc12aug_40k-512x512'),
    ('_base_/schedules/schedule_80k.py', 'lrr4x_r101_cityscapes_80k-512x1024'),
    ('convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py',
     'lrr4x_convnext-t_voc12aug_20k-512x512'),
])
def test_schedules_are_mmsegs(theirs: str, name: str) -> None:
    cfg, stock = load(name), Config.fromstring(f"_base_ = 'mmseg::{theirs}'", '.py')
    optimizer, schedule = (
        {key: value for key, value in part.items() if key != '_scope_'}
        for part in (stock.optim_wrapper.optimizer, stock.param_scheduler[0]))
    assert cfg.optim_wrapper.optimizer == optimizer
    warm_up, poly = cfg.param_scheduler
    if 'convnext' in name:
        assert warm_up == schedule
    else:
        # mmseg's has no warm-up.
        assert (warm_up.type, warm_up.begin, warm_up.end) == ('LinearLR', 0, 500)
        # mmseg's least rate is more than that of many a filter.
        assert poly == {**schedule, 'begin': 500, 'eta_min': 0}
        assert cfg.train_cfg.max_iters == stock.train_cfg.max_iters
