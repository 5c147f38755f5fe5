# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every config builds, trains one step, and tests one image in one scale and in several."""

import gc
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from test_configs.small_world import NAMES, cut_down, load, make

#: One of most kinds of backbone, head, data set and schedule, narrowed.
QUICK = [
    'lrr32x_vgg16_voc_batch-scale',
    'lrr4x_vgg16_coco-voc',
    'lrr4x_vgg16_cityscapes',
    'lrr4x_convnext-t_voc12aug_20k-512x512',
    'lrr4x_swin-t_ade20k_80k-512x512',
]


@HOOKS.register_module()
class KeepOutputs(Hook):
    """Keeps the losses of a run's steps."""

    def __init__(self) -> None:
        self.losses: list[dict] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.losses.append({name: value.item() for name, value in outputs.items()})


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('world') / 'repository'
    make(root)
    return root


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what takes longest in a run of one step: writing the config and the environment
    into the log. And free what a run has left."""
    monkeypatch.setattr(Config, 'pretty_text', property(lambda config: ''))
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    yield
    gc.collect()


def expected_terms(cfg: Config) -> set[str]:
    """Names of the losses that a config has to have."""
    head = cfg.model.decode_head
    if head.type == 'FCNSkipHead':
        return {'decode.loss_ce'}
    levels = ['4x', '8x', '16x', '32x'][-len(head.in_channels):]
    terms = {f'decode.loss_ce_{level}' for level in levels}
    if head.dilation_erosion is not None:
        terms |= {'decode.loss_dilation_32x', 'decode.loss_erosion_32x'}
    return terms


def build_and_step(name: str, work_dir: Path, narrow: bool) -> None:
    cfg = cut_down(load(name), work_dir, narrow)
    cfg.custom_hooks.append(dict(type='KeepOutputs'))
    runner = Runner.from_cfg(cfg)
    before = {key: value.detach().clone() for key, value in runner.model.named_parameters()
              if key.startswith('decode_head')}
    runner.train()
    steps = next(hook for hook in runner.hooks if isinstance(hook, KeepOutputs)).losses
    # An epoch of VOC and COCO is two steps.
    by_epoch = cfg.train_cfg.type == 'EpochBasedTrainLoop'
    assert len(steps) == (len(runner.train_dataloader) if by_epoch else 1)
    for losses in steps:
        assert expected_terms(cfg) <= losses.keys()
        assert all(math.isfinite(value) for value in losses.values()), losses
        assert losses['loss'] > 0
    # What starts at zero shows the smallest step. Finer levels are behind masks, which are closed
    # as long as the coarser scores are zero.
    parameters = dict(runner.model.named_parameters())
    start = [key for key, value in before.items() if '32x' in key and not value.any()]
    still = [key for key in start if not parameters[key].any()]
    assert start and not still
    del before, parameters

    metrics = runner.test()
    assert 0 <= metrics['mIoU'] <= 100
    if cfg.model.test_cfg.get('level_outputs'):
        levels = ['4x', '8x', '16x', '32x'][-len(cfg.model.decode_head.in_channels):]
        assert {f'mIoU_{level}' for level in levels} <= metrics.keys()
    else:
        assert cfg.model.decode_head.type == 'FCNSkipHead'

    loader = cfg.test_dataloader
    loader.dataset.pipeline = cfg.tta_pipeline
    batch = next(iter(Runner.build_dataloader(loader)))
    # The demo trains at one scale, and has little use for smaller ones.
    assert len(batch['inputs']) == (2 if name == 'lrr4x_r18_shapes_demo' else 3)
    several = MODELS.build({**cfg.tta_model, 'module': runner.model})
    with torch.no_grad():
        (result, ) = several.test_step(batch)
    assert result.pred_sem_seg.shape == result.gt_sem_seg.shape == result.ori_shape
    assert MODELS.build(cfg.crf).state_dict() == {}


@pytest.mark.parametrize('name', QUICK)
def test_kinds_of_configs(name: str, world: Path, tmp_path: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    build_and_step(name, tmp_path, narrow=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in NAMES if name not in QUICK])
def test_every_other_config(name: str, world: Path, tmp_path: Path,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    build_and_step(name, tmp_path, narrow=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['lrr4x_vgg16_voc', 'lrr4x_r101_coco-voc'])
def test_full_widths(name: str, world: Path, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    build_and_step(name, tmp_path, narrow=False)


def networks() -> list[str]:
    """One config of each pair of a backbone and the maps that are read."""
    seen = {}
    for name in NAMES:
        model = load(name).model
        backbone = model.backbone.type, model.backbone.get('depth')
        seen.setdefault((backbone, str(model.decode_head.in_channels)), name)
    return list(seen.values())


@pytest.mark.parametrize('name', networks())
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
