# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Rates of the authors' recipe, parameter by parameter (spec section 4)."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from test_configs.small_world import CONFIGS, NAMES, cut_down, load
from toolbox import needs_prefix

VGG = [name for name in NAMES if '_vgg16_' in name]

#: The spec's multipliers of the coefficients' filters.
COEFFICIENTS = {'32x': 0.1, '16x': 0.05, '8x': 0.0125, '4x': 0.1 / 512}


#: Dilation and erosion at every level, where the configs have them at the coarsest.
EVERY_DE_LEVEL = dict(
    dilation_erosion=dict(levels=['32x', '16x', '8x', '4x']),
    loss_dilation_erosion=dict(radii=[32, 32, 32, 32]))


def build(name: str, tmp_path: Path,
          head: dict | None = None) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    cfg = cut_down(load(name), tmp_path, narrow=True)
    cfg.merge_from_dict(dict(model=dict(decode_head=head or {})))
    # Only names, shapes and groups matter here. (Transformers read values while they are built.)
    with torch.device('meta' if 'ResNet' in cfg.model.backbone.type or name in VGG else 'cpu'):
        model = MODELS.build(cfg.model)
    return model, build_optim_wrapper(model, cfg.optim_wrapper).optimizer


def settings(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict]:
    """Each parameter's group, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = group
    assert found.keys() == set(names.values())
    return found


def multiplier(name: str) -> float:
    """What the spec says of a parameter; FCN's filters are ours."""
    if re.search(r'\.bias(\.\d+x)?$', name):
        return 2
    level = re.search(r'\.coefficients\.(\d+x)\.weight$', name)
    if level:
        return COEFFICIENTS[level[1]]
    if re.search(r'decode_head\.scores\.\d+x\.weight$', name):
        return 0.1
    assert name.startswith('backbone.') or re.search(r'upsamples\.\d+x\.weight$', name), name
    return 1


@pytest.mark.parametrize('name', VGG)
def test_every_group_of_vgg(name: str, tmp_path: Path) -> None:
    first = re.match(r'(lrr32x|fcn32s)', name)
    base = 1e-3 if first else 1e-3 / 16
    model, optimizer = build(name, tmp_path)
    for parameter, group in settings(model, optimizer).items():
        assert group['lr'] == pytest.approx(base * multiplier(parameter), rel=1e-12), parameter
        assert group['momentum'] == 0.9 and group['weight_decay'] == 5e-4
        assert not group['nesterov'] and group['dampening'] == 0
    assert type(optimizer) is torch.optim.SGD


def test_the_whole_network_value_by_value(tmp_path: Path) -> None:
    found = settings(*build('lrr4x_vgg16_voc', tmp_path))
    rates = {name: group['lr'] for name, group in found.items()
             if name.startswith('decode_head')}
    assert rates == pytest.approx({
        'decode_head.coefficients.32x.weight': 6.25e-6,
        'decode_head.coefficients.32x.bias': 1.25e-4,
        'decode_head.coefficients.16x.weight': 3.125e-6,
        'decode_head.coefficients.16x.bias': 1.25e-4,
        'decode_head.coefficients.8x.weight': 7.8125e-7,
        'decode_head.coefficients.8x.bias': 1.25e-4,
        'decode_head.coefficients.4x.weight': 1.220703125e-8,
        'decode_head.coefficients.4x.bias': 1.25e-4,
        'decode_head.dilation.coefficients.32x.weight': 6.25e-6,
        'decode_head.dilation.coefficients.32x.bias': 1.25e-4,
        'decode_head.dilation.bias.32x': 1.25e-4,
        'decode_head.erosion.coefficients.32x.weight': 6.25e-6,
        'decode_head.erosion.coefficients.32x.bias': 1.25e-4,
        'decode_head.erosion.bias.32x': 1.25e-4,
    }, rel=1e-12)
    # 13 convolutions and two fully connected layers, a filter and a bias each; bases are none.
    assert len(found) == 30 + len(rates)
    assert not any('bases' in name for name in found)


def test_dilation_and_erosion_at_every_level_value_by_value(tmp_path: Path) -> None:
    found = settings(*build('lrr4x_vgg16_voc', tmp_path, EVERY_DE_LEVEL))
    rates = {name: group['lr'] for name, group in found.items()
             if name.startswith(('decode_head.dilation', 'decode_head.erosion'))}
    expected = {}
    for branch in ('dilation', 'erosion'):
        for level, filters in (('32x', 6.25e-6), ('16x', 3.125e-6), ('8x', 7.8125e-7),
                               ('4x', 1.220703125e-8)):
            expected[f'decode_head.{branch}.coefficients.{level}.weight'] = filters
            expected[f'decode_head.{branch}.coefficients.{level}.bias'] = 1.25e-4
            expected[f'decode_head.{branch}.bias.{level}'] = 1.25e-4
    assert rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(('name', 'multipliers'), [
    ('lrr4x_r18_camvid', {'32x': 0.05, '16x': 0.1, '8x': 0.2, '4x': 0.4}),
    ('lrr4x_r18_shapes_demo', {'32x': 0.05, '16x': 0.1, '8x': 0.2, '4x': 0.4}),
    ('lrr4x_swin-t_voc12aug_20k-512x512', {'32x': 0.5, '16x': 1, '8x': 2, '4x': 4}),
    ('lrr4x_r50_voc12aug_20k-512x512', dict.fromkeys(('32x', '16x', '8x', '4x'), 0.1)),
])
def test_a_levels_filters_learn_alike_in_the_pyramid_and_in_its_branches(
    name: str, multipliers: dict[str, float], tmp_path: Path
) -> None:
    base = load(name).optim_wrapper.optimizer.lr
    found = settings(*build(name, tmp_path, EVERY_DE_LEVEL))
    for level, multiplier in multipliers.items():
        for branch in ('', '.dilation', '.erosion'):
            group = found[f'decode_head{branch}.coefficients.{level}.weight']
            assert group['lr'] == pytest.approx(base * multiplier, rel=1e-12), (branch, level)


def test_rates_over_the_epochs_of_stage_1() -> None:
    cfg = load('lrr32x_vgg16_voc')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    (scheduler, ) = cfg.param_scheduler
    scheduler = PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer})
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-3] * 50 + [5e-4] * 10 + [2.5e-4] * 5, rel=1e-12)


def test_stage_2_is_16_epochs_at_one_rate() -> None:
    cfg = load('lrr4x_vgg16_voc')
    assert cfg.param_scheduler == [] and cfg.train_cfg.max_epochs == 16
    assert cfg.optim_wrapper.optimizer.lr == 6.25e-5


@pytest.mark.parametrize('name', ['lrr32x_vgg16_voc', 'lrr4x_vgg16_voc'])
def test_batches_and_momentum(name: str) -> None:
    cfg = load(name)
    assert cfg.train_dataloader.batch_size == 20
    assert [hook.type for hook in cfg.custom_hooks] == ['ClassBasesHook', 'ResetMomentumHook']


def toolbox(name: str) -> Config:
    """A config of the toolbox."""
    return Config.fromstring(f"_base_ = 'mmseg::{name}'", '.py')


def own(part: dict) -> dict:
    """A part of the toolbox's config without the mark that it is the toolbox's."""
    return {key: value for key, value in part.items() if key != '_scope_'}


@needs_prefix
@pytest.mark.parametrize(('thousands', 'name'), [
    (20, 'lrr4x_r101_voc12aug_20k-512x512'),
    (40, 'lrr4x_r50_voc12aug_40k-512x512'),
    (80, 'lrr4x_r101_cityscapes_80k-512x1024'),
])
def test_the_toolboxs_schedule_behind_a_warm_up(thousands: int, name: str) -> None:
    cfg, theirs = load(name), toolbox(f'_base_/schedules/schedule_{thousands}k.py')
    assert cfg.optim_wrapper.optimizer == own(theirs.optim_wrapper.optimizer)
    warm_up, poly = cfg.param_scheduler
    (their_poly, ) = theirs.param_scheduler
    assert (warm_up.type, warm_up.begin, warm_up.end, poly.begin) == ('LinearLR', 0, 500, 500)
    assert poly == {**own(their_poly), 'begin': 500}
    assert cfg.train_cfg.max_iters == theirs.train_cfg.max_iters == 1000 * thousands
    # What differs is said.
    for path in (f'{name}.py', f'_base_/schedules/sgd_{thousands}k.py'):
        assert 'behind a warm-up' in ast.get_docstring(ast.parse(
            re.sub(r'\{\{.*?\}\}', '0', (CONFIGS / path).read_text())))
    assert 'warm-up of the first 500 iterations' in (CONFIGS / 'README.md').read_text()


@needs_prefix
@pytest.mark.parametrize('name', [name for name in NAMES if '_convnext-t_' in name])
def test_convnext_says_where_it_leaves_the_toolboxs_optimiser(name: str) -> None:
    cfg = load(name)
    theirs = toolbox('convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py')
    assert cfg.optim_wrapper.optimizer == own(theirs.optim_wrapper.optimizer)
    assert cfg.param_scheduler[0] == own(theirs.param_scheduler[0])
    text = ast.get_docstring(ast.parse(
        re.sub(r'\{\{.*?\}\}', '0', (CONFIGS / f'{name}.py').read_text())))
    assert theirs.optim_wrapper.constructor == 'LearningRateDecayOptimizerConstructor'
    assert 'constructor' not in cfg.optim_wrapper and 'one rate\nfor all of it' in text
    assert theirs.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.type == 'OptimWrapper' and '``--amp``' in text


def sample(labels: torch.Tensor) -> SegDataSample:
    """A training sample; the preprocessor changes samples, hence the copy."""
    return SegDataSample(gt_sem_seg=PixelData(data=labels.clone()))


def steps(name: str, tmp_path: Path) -> list[dict[str, torch.Tensor]]:
    """What one step changes, made out of a batch of 4 and out of two batches of 2."""
    cfg = cut_down(load(name), tmp_path, narrow=True)
    model = MODELS.build(cfg.model).double()
    model.backbone.dropout.p = 0
    head = model.decode_head
    filters = head.coefficients if name.startswith('lrr') else head.scores
    torch.nn.init.normal_(filters['32x'].weight, std=1e-3)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    model.data_preprocessor.size = (32, 32)
    inputs = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 21, (4, 1, 32, 32))
    labels[:2, :, 20:] = 255

    def train(batch: int) -> dict[str, torch.Tensor]:
        model.load_state_dict(start)
        cfg.optim_wrapper.accumulative_counts = 4 // batch
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        wrapper.initialize_count_status(model, 0, 4 // batch)
        for first in range(0, 4, batch):
            samples = [sample(labels[i]) for i in range(first, first + batch)]
            data = dict(inputs=list(inputs[first:first + batch]), data_samples=samples)
            data = model.data_preprocessor(data, True)
            with wrapper.optim_context(model):
                losses = model.loss(data['inputs'].double(), data['data_samples'])
                loss, _ = model.parse_losses(losses)
            wrapper.update_params(loss)
        return {name: value.double() - start[name].double()
                for name, value in model.state_dict().items()}

    return [train(4), train(2)]


def test_accumulated_gradients_make_the_same_step(tmp_path: Path) -> None:
    """Batches of 2, two to a step, do what a batch of 4 does: each image weighs the same."""
    whole, halves = steps('lrr4x_vgg16_voc', tmp_path)
    changed = [name for name in whole if whole[name].any()]
    assert 'backbone.fc6.conv.weight' in changed and len(changed) > 30
    for name in changed:
        torch.testing.assert_close(halves[name], whole[name], rtol=1e-6, atol=1e-14)


def test_accumulated_gradients_of_fcn_make_another_step(tmp_path: Path) -> None:
    """FCN averages over a batch's valid pixels, of which the batches have different numbers."""
    whole, halves = steps('fcn32s_vgg16_voc', tmp_path)
    name = 'decode_head.scores.32x.weight'
    assert (halves[name] - whole[name]).norm() > 0.05 * whole[name].norm()


def test_readme_says_where_accumulated_gradients_are_exact() -> None:
    text = (CONFIGS / 'README.md').read_text()
    (line, ) = re.findall(r'^\|.*accumulative_counts=4.*$', text, re.M)
    assert 'exact' not in line
    assert 'FCN averages over a batch' in text and 'batch normalisation (the ResNets)' in text
