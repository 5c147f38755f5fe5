# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every config builds, trains one step, and tests one image in one scale and in several."""

import gc
import math
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from test_configs.small_world import NAMES, cut_down, last_head, load, make

#: One of most kinds of backbone, head, data set and schedule.
QUICK = [
    'authors/lrr4x_vgg16_coco-voc',
    'fcn32s_vgg16_voc-1scale',
    'lrr32x_vgg16_cityscapes',
    'lrr4x_convnext-t_voc12aug_20k-512x512',
    'lrr4x_vgg16_coco-voc',
    'lrr-refine_upernet_r50_cityscapes_20k-512x1024',
]


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('world') / 'repository'
    make(root)
    return root


@pytest.fixture
def _lean(monkeypatch: pytest.MonkeyPatch, world: Path) -> Iterator[None]:
    """Run where the data are, without what takes longest in a run of one step: writing the config
    and the environment into the log. And free what a run has left."""
    monkeypatch.chdir(world)
    monkeypatch.setattr(Config, 'pretty_text', property(lambda config: ''))
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    yield
    gc.collect()


@pytest.mark.parametrize(('name', 'narrow'), [
    *((name, True) for name in QUICK),
    *(pytest.param(name, True, marks=pytest.mark.slow) for name in NAMES if name not in QUICK),
    pytest.param('lrr4x_vgg16_voc', False, marks=pytest.mark.slow)])
def test_build_and_step(name: str, narrow: bool, _lean: None, tmp_path: Path) -> None:
    cfg = cut_down(load(name), tmp_path, narrow)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None  # the same as testing
    runner = Runner.from_cfg(cfg)
    parameters = dict(runner.model.decode_head.named_parameters())
    if refines := 'refine' in name:  # Random scores are not sure of anything.
        parameters = dict(runner.model.decode_head[-1].named_parameters())
    # What starts at zero shows the smallest step. Finer levels are behind masks, which are closed
    # as long as the coarser scores are zero.
    start = [key for key, value in parameters.items()
             if ('32x' in key or refines) and not value.any()]
    runner.train()
    assert start and all(parameters[key].any() for key in start)

    head, levels = last_head(cfg.model), []
    expected = {'loss', 'decode.loss_ce'}
    if head.type == 'LRRHead':
        levels = ['4x', '8x', '16x', '32x'][-len(head.in_channels):]
        expected = {'loss', *(f'decode.loss_ce_{level}' for level in levels)}
        if head.dilation_erosion is not None:
            expected |= {'decode.loss_dilation_32x', 'decode.loss_erosion_32x'}
    elif refines:
        levels = ['4x', '8x', '16x'][:len(head.in_channels)]
        expected = {'loss', *(f'decode_1.loss_ce_{level}' for level in levels)}
    losses = {key.removeprefix('train/'): value.data[0]
              for key, value in runner.message_hub.log_scalars.items() if 'loss' in key}
    assert losses.keys() == expected
    assert all(math.isfinite(value) and value > 0 for value in chain(*losses.values())), losses
    metrics = runner.test()
    assert 0 <= metrics['mIoU'] <= 100
    assert {f'mIoU_{level}' for level in levels} <= metrics.keys()

    loader = cfg.test_dataloader
    loader.dataset.pipeline = cfg.tta_pipeline
    batch = next(iter(Runner.build_dataloader(loader)))
    several = MODELS.build({**cfg.tta_model, 'module': runner.model})
    with torch.no_grad():
        (result, ) = several.test_step(batch)
    assert result.pred_sem_seg.shape == result.gt_sem_seg.shape == result.ori_shape


#: One config of each depth of pyramid on each backbone.
NETWORKS = {re.sub(r'(-\w*masked)?_([^_]+)_.*', r'_\2', name): name for name in NAMES
            if 'refine' not in name}


@pytest.mark.parametrize('name', NETWORKS.values(), ids=NETWORKS)
def test_widths_fit(name: str, tmp_path: Path) -> None:
    """At full widths, without memory or arithmetic: the head takes what the backbone gives."""
    cfg = cut_down(load(name), tmp_path, narrow=False)
    # The others compute with numbers while they are built.
    light = cfg.model.backbone.type in ('VGG16FC', 'ResNet', 'ResNetV1c')
    with torch.device('meta' if light else 'cpu'):
        model = MODELS.build(cfg.model).to('meta')
    scores = model.decode_head(model.extract_feat(torch.empty(1, 3, 64, 96, device='meta')))
    factor = {'lrr32x': 8, 'lrr16x': 4, 'lrr8x': 2}.get(name.split('_')[0].split('-')[0], 1)
    assert scores.shape == (1, cfg.model.decode_head.num_classes, 64 // factor, 96 // factor)
