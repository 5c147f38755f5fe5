# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The configs and the Python that the documents show, at work on small data."""

from __future__ import annotations

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

#: Files that the documents show, and those of them that are trained.
FILES = {block.file_name: block for document in DOCUMENTS for block in blocks(document)
         if block.file_name}
TRAINED = ['lrr_r50.py', 'leaves.py', 'mobilenet.py', 'three_levels.py', 'five_levels.py',
           'more_options.py']

#: Blocks of Python that are no files and no quotations, by document and line.
LOOSE = {(document, block.line): block for document in DOCUMENTS for block in blocks(document)
         if block.language == 'python' and not block.file_name and document != 'docs/method.md'}


@pytest.fixture
def leaves(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workshop with the images of extending.md's first section, and its folder entered."""
    monkeypatch.chdir(workshop)
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (workshop / 'data' / 'leaves' / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            random = np.random.default_rng(number)
            labels = random.integers(0, 2, (5, 6)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
            image = labels[..., None] * 90 + random.integers(0, 90, (80, 96, 3)).astype(np.uint8)
            base = workshop / 'data' / 'leaves'
            cv2.imwrite(str(base / 'images' / split / f'{number}.jpg'), image)
            cv2.imwrite(str(base / 'labels' / split / f'{number}.png'), labels)
    return workshop


def small(name: str, folder: Path) -> Config:
    """A file of the documents, cut down to one step on two crops; its own ``load_from`` stays."""
    cfg = Config.fromfile(name)
    checkpoint, backbone = cfg.get('load_from'), cfg.model.backbone.get('init_cfg')
    cut_down(cfg, folder, narrow=True)
    cfg.load_from = checkpoint
    # Kaiming's normal numbers take longer than the step.
    cfg.model.backbone.init_cfg = backbone or dict(type='Constant', layer='_BatchNorm', val=1)
    datasets = cfg.train_dataloader.dataset
    for dataset in datasets.get('datasets', [datasets]):
        dataset.pipeline = [step for step in dataset.pipeline if step.type != 'Pad']
    for transform in cfg.val_dataloader.dataset.pipeline:
        if transform.type == 'Resize':
            transform.scale = (96, 64)
    # Batch statistics of one pixel: the coarsest map of a small crop.
    for part in (cfg.model, cfg.model.backbone):
        if part.get('norm_cfg'):
            part.norm_cfg = dict(type='BN', eps=1e-3)
    return cfg


def trained(cfg: Config) -> Runner:
    """Train for the step."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def without_validation(cfg: Config) -> Config:
    """Leave out what the test does not look at."""
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    return cfg


def head_of(runner: Runner) -> torch.nn.Module:
    return runner.model.decode_head


def test_every_block_of_python_is_tested() -> None:
    others = {'fine_tuned.py', 'fine_tuned_backbone.py', 'speed.py', 'vgg_authors.py',
              'voc_server.py', 'my_camvid.py'}
    assert set(FILES) == others | set(TRAINED)
    assert {document for document, _ in LOOSE} == {'docs/extending.md'}


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=needs_prefix) if 'mmseg::' in FILES[name].body else name
    for name in TRAINED])
def test_config_trains_a_step(name: str, leaves: Path, tmp_path: Path) -> None:
    cfg = small(name, tmp_path)
    own_data = name in ('lrr_r50.py', 'leaves.py')
    runner = trained(cfg if own_data else without_validation(cfg))
    scalars = runner.message_hub.log_scalars
    head = head_of(runner)
    losses = [scalars[f'train/decode.loss_ce_{level}'].current() for level in head.levels]
    assert all(np.isfinite(losses))
    assert not own_data or 0 <= scalars['val/mIoU'].current() <= 100
    assert bool(head.bases_loaded)


def test_camvid_is_looked_for_where_the_pages_say(leaves: Path) -> None:
    default = Config.fromfile('configs/lrr/lrr4x_r18_camvid.py')
    own = Config.fromfile('my_camvid.py')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert own[loader].dataset == {**default[loader].dataset, 'data_root': 'CAMVID'}
        for document in ('docs/recipes.md', 'configs/lrr/README.md'):
            assert f'`{default[loader].dataset.data_root}`' in read(document)
            assert f'{loader}.dataset.data_root=CAMVID' in read(document)


@needs_prefix
def test_levels_are_those_that_the_page_says(leaves: Path, tmp_path: Path) -> None:
    heads = {name: MODELS.build(Config.fromfile(name).model.decode_head)
             for name in ('three_levels.py', 'five_levels.py', 'more_options.py', 'lrr_r50.py')}
    assert heads['three_levels.py'].levels == ['32x', '16x', '8x']
    assert heads['five_levels.py'].levels == ['64x', '32x', '16x', '8x', '4x']
    more = heads['more_options.py']
    assert [more.reconstructions[level].bases.shape[-1] for level in more.levels] == [16, 16, 16, 8]
    assert isinstance(more.reconstructions['32x'].bases, torch.nn.Parameter)
    assert not more.masks and list(more.dilation.coefficients) == ['32x', '16x']
    assert heads['lrr_r50.py'].masks['4x'].window == 9


@pytest.fixture(scope='module')
def other_network(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A checkpoint of three classes that stands under the name ``CHECKPOINT``."""
    folder = tmp_path_factory.mktemp('other')
    cfg = cut_down(Config.fromfile(workshop / 'configs/lrr/lrr4x_r50_voc12aug_20k-512x512.py'),
                   folder, narrow=True)
    cfg.model.decode_head.num_classes = 3
    model = MODELS.build(cfg.model)
    model.decode_head.set_bases(torch.randn(3, 2, 32, 32))
    state = model.state_dict()
    torch.save(dict(state_dict=state, meta={}), workshop / 'small' / 'weights.pth')
    return state


@pytest.mark.parametrize('name', ['fine_tuned.py', 'fine_tuned_backbone.py'])
def test_fine_tuning_to_other_classes(
    name: str, other_network: dict, leaves: Path, tmp_path: Path
) -> None:
    cfg = without_validation(small(name, tmp_path))
    # So that what was taken over is still there after the step.
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.)
    runner = trained(cfg)
    state = runner.model.state_dict()
    weights = [key for key in state if key.startswith('backbone') and key.endswith('weight')]
    assert len(weights) > 50
    assert all(torch.equal(state[key], other_network[key]) for key in weights)
    head = head_of(runner)
    assert head.num_classes == 2 and bool(head.bases_loaded)
    assert all(not parameter.any() for parameter in head.coefficients.parameters())
    computed = torch.from_numpy(np.load(tmp_path / 'class_bases.npy'))
    assert computed.shape == (2, 2, 32, 32)
    expected = type(head.reconstructions['32x'])(num_classes=2, num_bases=2, factor=4)
    untouched = expected.bases.clone()
    expected.set_bases(computed)
    torch.testing.assert_close(head.reconstructions['4x'].bases, expected.bases)
    assert not torch.equal(expected.bases, untouched)


def test_fine_tuning_to_as_many_classes_keeps_the_bases(
    other_network: dict, leaves: Path, tmp_path: Path
) -> None:
    cfg = without_validation(small('fine_tuned.py', tmp_path))
    cfg.model.decode_head.num_classes = 3
    runner = trained(cfg)
    assert torch.equal(head_of(runner).reconstructions['4x'].bases,
                       other_network['decode_head.reconstructions.4x.bases'])
    assert not (tmp_path / 'class_bases.npy').exists()


def test_authors_vgg_config(leaves: Path) -> None:
    cfg = Config.fromfile('vgg_authors.py')
    assert cfg.model.backbone.init_cfg.checkpoint == 'VGG.pth'
    assert cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]


def test_server_config(leaves: Path) -> None:
    cfg = Config.fromfile('voc_server.py')
    assert cfg.test_evaluator.to_dict() == dict(type='VOCSubmission', competition='comp6')
    assert cfg.test_dataloader.dataset.data_prefix.to_dict() == dict(img_path='JPEGImages')


@pytest.mark.parametrize('where', LOOSE, ids=str)
def test_python_runs(where: tuple[str, int], leaves: Path) -> None:
    names: dict = {}
    exec(LOOSE[where].body, names)
    shapes = {level: tuple(scores.shape) for level, scores in names['levels'].items()}
    assert shapes == {'32x': (1, 21, 32, 40), '16x': (1, 21, 64, 80), '8x': (1, 21, 128, 160),
                      '4x': (1, 21, 256, 320)}
    assert list(names['masks']) == ['16x', '8x', '4x']
    assert tuple(names['masks']['16x'].shape) == (1, 21, 64, 80)
    assert all(0 <= mask.min() and mask.max() <= 1 for mask in names['masks'].values())
