# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The configs and the Python that the documents show, at work on small data."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from test_configs.small_world import cut_down
from toolbox import needs_prefix

from .documents import DOCUMENTS, blocks, read

#: Config -> names of losses and metrics that training it for a step has to give.
TRAINED = {
    'lrr_r50.py': ['decode.loss_ce_4x', 'mIoU'],
    'leaves.py': ['decode.loss_dilation_32x', 'mIoU'],
    'mobilenet.py': ['decode.loss_ce_4x'],
    'three_levels.py': ['decode.loss_ce_8x'],
    'five_levels.py': ['decode.loss_ce_64x', 'decode.loss_erosion_64x'],
    'more_options.py': ['decode.loss_dilation_16x'],
    'doubt.py': ['decode.loss_ce_4x'],
    'accuracy.py': ['accuracy_32x', 'accuracy_final', 'mIoU'],
}
#: Files that are looked at otherwise.
OTHERS = {'fine_tuned.py', 'fine_tuned_backbone.py', 'browse.py', 'doubt_mask.py',
          'level_accuracy.py', 'rates.py', 'my_camvid.py', 'speed.py', 'vgg_authors.py',
          'voc_server.py'}


@pytest.fixture
def leaves(at_work: Path) -> Path:
    """The workshop with the images of extending.md's first section."""
    base = at_work / 'data' / 'leaves'
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (base / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            random = np.random.default_rng(number)
            labels = random.integers(0, 2, (5, 6)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
            image = labels[..., None] * 90 + random.integers(0, 90, (80, 96, 3)).astype(np.uint8)
            cv2.imwrite(str(base / 'images' / split / f'{number}.jpg'), image)
            cv2.imwrite(str(base / 'labels' / split / f'{number}.png'), labels)
    return at_work


def small(name: str, folder: Path) -> Config:
    """A file of the documents, cut down to one step on two crops."""
    cfg = Config.fromfile(name)
    cut_down(cfg, folder, narrow=True)
    # Kaiming's normal numbers take longer than the step.
    cfg.model.backbone.init_cfg = dict(type='Constant', layer='_BatchNorm', val=1)
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = [step for step in pipeline if step.type != 'Pad']
    for transform in cfg.val_dataloader.dataset.pipeline:
        if transform.type == 'Resize':
            transform.scale = (96, 64)
    # Batch statistics of one pixel: the coarsest map of a small crop.
    for part in (cfg.model, cfg.model.backbone):
        if part.get('norm_cfg'):
            part.norm_cfg = dict(type='BN', eps=1e-3)
    return cfg


def trained(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_every_file_of_the_documents_is_tested() -> None:
    assert {block.file_name for document in DOCUMENTS for block in blocks(document)} - {None} \
        == OTHERS | set(TRAINED)


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=needs_prefix if name == 'lrr_r50.py' else ()) for name in TRAINED])
def test_config_trains_a_step(name: str, leaves: Path, tmp_path: Path) -> None:
    cfg = small(name, tmp_path)
    if not any('loss' not in wanted for wanted in TRAINED[name]):
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    runner = trained(cfg)
    for wanted in TRAINED[name]:
        part = 'train' if 'loss' in wanted else 'val'
        assert np.isfinite(runner.message_hub.get_scalar(f'{part}/{wanted}').current())
    assert runner.model.decode_head.bases_loaded


def test_options_do_what_the_page_says(leaves: Path) -> None:
    levels = MODELS.build(Config.fromfile('more_options.py').model.decode_head).levels
    bases = [level.reconstruction.bases for level in levels.values()]
    assert [one.shape[-1] for one in bases] == [16, 16, 16, 8]
    assert all(isinstance(one, torch.nn.Parameter) for one in bases)
    assert all(level.mask is None for level in levels.values())
    masks = MODELS.build(Config.fromfile('doubt.py').model.decode_head).levels['4x'].mask
    assert type(masks).__name__ == 'DoubtMask'
    loaders = Config.fromfile('my_camvid.py')
    assert {loaders[f'{name}_dataloader'].dataset.data_root
            for name in ('train', 'val', 'test')} == {'CAMVID'}
    for name in ('speed.py', 'vgg_authors.py', 'voc_server.py'):
        Config.fromfile(name)


def test_rates_reach_the_levels_and_the_branches_apart(leaves: Path, tmp_path: Path) -> None:
    cfg = small('rates.py', tmp_path)
    cfg.optim_wrapper.paramwise_cfg.custom_keys['32x.coefficients.weight'].lr_mult = .5
    runner = Runner.from_cfg(cfg)
    optimizer = runner.build_optim_wrapper(cfg.optim_wrapper).optimizer
    rates = {id(group['params'][0]): group['lr'] for group in optimizer.param_groups}
    head = runner.model.decode_head
    base = cfg.optim_wrapper.optimizer.lr
    assert rates[id(head.levels['32x'].coefficients.weight)] == pytest.approx(.5 * base)
    assert rates[id(head.dilation.coefficients['32x'].weight)] == pytest.approx(.02 * base)


@pytest.mark.parametrize('name, num_classes', [
    ('fine_tuned.py', 2), ('fine_tuned.py', 3), ('fine_tuned_backbone.py', 2)])
def test_fine_tuning_takes_over_what_fits(
    name: str, num_classes: int, leaves: Path, tmp_path: Path
) -> None:
    """From a network of three classes: with other ones the basis functions are computed anew."""
    cfg = small('leaves.py', tmp_path)
    cfg.model.decode_head.num_classes = 3
    other = MODELS.build(cfg.model)
    other.decode_head.set_bases(torch.randn(3, 2, 32, 32))
    state = other.state_dict()
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'other.pth')
    own = Config.fromfile(name)
    cfg = small(name, tmp_path)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.model.decode_head.num_classes = num_classes
    if own.load_from:
        cfg.load_from = str(tmp_path / 'other.pth')
    else:
        cfg.model.backbone.init_cfg = {
            **own.model.backbone.init_cfg, 'checkpoint': str(tmp_path / 'other.pth')}
    # So that what was taken over is still there after the step.
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.)
    model = trained(cfg).model
    for key, value in model.backbone.state_dict().items():
        if key.endswith('weight'):
            assert torch.equal(value, state[f'backbone.{key}']), key
    kept = num_classes == 3
    bases = model.decode_head.levels['4x'].reconstruction.bases
    assert (tmp_path / 'class_bases.npy').exists() != kept
    assert not kept or torch.equal(bases, state['decode_head.levels.4x.reconstruction.bases'])


def test_training_images_are_written(leaves: Path) -> None:
    runpy.run_path('browse.py')
    image = cv2.imread('browsed/1.png')
    assert image.shape[1] == 2 * image.shape[0]
    assert {tuple(pixel) for pixel in image[:, image.shape[0]:].reshape(-1, 3).tolist()} \
        <= {(0, 0, 0), (0, 160, 0)}


def test_head_works_by_itself() -> None:
    block, = (block for block in blocks('docs/extending.md')
              if block.language == 'python' and not block.file_name)
    names: dict = {}
    exec(block.body, names)
    shapes = {level: tuple(scores.shape) for level, scores in names['levels'].items()}
    assert shapes == {'32x': (1, 21, 32, 40), '16x': (1, 21, 64, 80), '8x': (1, 21, 128, 160),
                      '4x': (1, 21, 256, 320)}
    assert tuple(names['masks']['16x'].shape) == (1, 21, 64, 80)


def test_changelog_and_citation_are_of_this_version() -> None:
    version = runpy.run_path('mmseg_lrr/version.py')['__version__']
    assert f'\n## {version} ' in read('CHANGELOG.md')
    assert f'\nversion: {version}\n' in read('CITATION.cff')
