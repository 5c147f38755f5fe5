# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The configs and the Python that the documents show, at work on small data."""

import re
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from test_configs.small_world import cut_down
from toolbox import needs_prefix

from mmseg_lrr.models.segmentors.lrr_encoder_decoder import last_head

from .documents import DOCUMENTS, blocks

#: Config -> some of the losses and metrics that training it for a step gives.
TRAINED = {
    'lrr_r50.py': 'train/decode.loss_ce_4x val/mIoU',
    'lrr_convnext.py': 'train/decode.loss_ce_4x',
    'lrr_swin.py': 'train/decode.loss_ce_4x',
    'lrr_segformer.py': 'train/decode.loss_ce_4x',
    'leaves.py': 'train/decode.loss_dilation_32x val/mIoU',
    'mobilenet.py': 'train/decode.loss_ce_4x',
    'three_levels.py': 'train/decode.loss_ce_8x',
    'five_levels.py': 'train/decode.loss_ce_64x train/decode.loss_erosion_64x',
    'more_options.py': 'train/decode.loss_dilation_16x',
    'sharper.py': 'train/decode_1.loss_ce_16x train/decode_1.loss_ce_4x',
    'doubt.py': 'train/decode.loss_ce_4x',
    'accuracy.py': 'val/accuracy_32x val/accuracy_final val/mIoU',
}
CONFIGS = {'fine_tuned.py', 'fine_tuned_backbone.py', 'gentle.py', 'my_camvid.py', 'rates.py',
           'speed.py', 'voc_server.py'}
MODULES = {'browse.py', 'doubt_mask.py', 'level_accuracy.py', 'tta_crf.py'}


@pytest.fixture
def leaves(at_work: Path) -> Path:
    """The workshop with the images of extending.md's first section."""
    labels = np.random.default_rng(0).integers(0, 2, (5, 6), np.uint8).repeat(16, 0).repeat(16, 1)
    for split in ('train', 'val'):
        for kind, name, array in (('images', '0.jpg', np.stack([90 * labels] * 3, -1)),
                                  ('labels', '0.png', labels)):
            path = at_work / 'data' / 'leaves' / kind / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), array)
    return at_work


def test_every_file_of_the_documents_is_tested(at_work: Path) -> None:
    shown = {block.file_name for document in DOCUMENTS for block in blocks(document, 'python')}
    assert shown - {''} == CONFIGS | MODULES | set(TRAINED)
    for name in CONFIGS:
        Config.fromfile(name)


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=needs_prefix if name[:4] in ('lrr_', 'shar') else ())
    for name in TRAINED])
def test_config_trains_a_step(name: str, leaves: Path, tmp_path: Path) -> None:
    cfg = cut_down(Config.fromfile(name), tmp_path, narrow=True)
    if cfg.model.backbone.type != 'SwinTransformer':  # which takes none
        # Kaiming's normal numbers take longer than the step.
        cfg.model.backbone.init_cfg = dict(type='Constant', layer='_BatchNorm', val=1)
    if cfg.optim_wrapper.type == 'AmpOptimWrapper':  # not on a CPU
        cfg.optim_wrapper.type = 'OptimWrapper'
        del cfg.optim_wrapper.loss_scale
    for part in (cfg.model, cfg.model.backbone):
        if 'BN' in str(part.get('norm_cfg')):  # The coarsest map of a small crop has one pixel.
            part.norm_cfg = dict(type='BN', eps=1e-3)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for transform in loader.dataset.get('pipeline', ()):
            if transform.type == 'Resize':
                transform.scale = (96, 64)
    if 'camvid' in Path(name).read_text():
        cfg.custom_hooks = []  # Basis functions take longer than the step.
    runner = Runner.from_cfg(cfg)
    runner.train()
    for wanted in TRAINED[name].split():
        assert np.isfinite(runner.message_hub.get_scalar(wanted).current())
    assert last_head(runner.model).bases_loaded == bool(cfg.custom_hooks)


@needs_prefix
@pytest.mark.parametrize(('base', 'channels'), [
    ('upernet/upernet_r50_4xb4-20k_voc12aug-512x512', None),
    ('segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512', [32, 64, 160, 256])])
def test_the_readmes_head_starts_without_a_jump(
        base: str, channels: list[int] | None, tmp_path: Path) -> None:
    """Random weights, no warm-up: its own rates, and those of SegFormer, whose heads have ten."""
    block, = blocks('README.md', 'python')
    text = re.sub("mmseg::.*?[.]py", f'mmseg::{base}.py', block.body)
    if channels:
        text = re.sub('(?m)^optim_wrapper.*$', '', text)
    cfg = Config.fromstring(text, '.py')
    assert ('head' in cfg.optim_wrapper.paramwise_cfg.custom_keys) == bool(channels)
    cfg.model.update(pretrained=None)
    cfg.model.backbone.update(init_cfg=None)
    cfg.model.data_preprocessor.size = (96, 96)
    if channels:
        cfg.model.decode_head.in_channels = channels
    else:
        cfg.model.backbone.norm_cfg.type = 'BN'
    rng = np.random.default_rng(0)
    samples = []
    for labels in rng.integers(0, 21, (40, 1, 3, 3)).repeat(32, 2).repeat(32, 3):
        image = 10 * labels.repeat(3, 0) + rng.integers(0, 40, (3, 96, 96))
        samples.append(dict(
            inputs=torch.from_numpy(image.astype(np.uint8)), data_samples=SegDataSample(
                gt_sem_seg=PixelData(data=torch.from_numpy(labels)),
                metainfo=dict(img_shape=(96, 96)))))
    losses = []

    class Keep(Hook):

        def after_train_iter(self, *args, outputs: dict, **kwargs) -> None:
            losses.append(outputs['loss'].item())

    Runner(model=cfg.model, work_dir=str(tmp_path), optim_wrapper=cfg.optim_wrapper,
           train_dataloader=dict(batch_size=4, num_workers=0, dataset=samples, collate_fn=dict(
               type='pseudo_collate'), sampler=dict(type='InfiniteSampler')),
           train_cfg=dict(by_epoch=False, max_iters=10), default_scope='mmseg',
           custom_hooks=[dict(type='CoefficientRatesHook'), Keep()], randomness=dict(seed=0),
           log_level='ERROR', experiment_name=tmp_path.name).train()
    assert max(losses) < 1.1 * losses[0] and np.mean(losses[-3:]) < 0.95 * losses[0], losses


def test_the_servers_example_is_the_posters_network(at_work: Path) -> None:
    server, poster = Config.fromfile('voc_server.py'), Config.fromfile(
        'configs/lrr/lrr4x_r101_coco-voc.py')
    assert server.train_dataloader == poster.train_dataloader and server.model == poster.model
    assert server.test_dataloader.dataset.ann_file.endswith('/test.txt')


def test_options_reach_the_head(at_work: Path) -> None:
    more, doubt = (MODELS.build(Config.fromfile(f'{name}.py').model.decode_head)
                   for name in ('more_options', 'doubt'))
    assert [one.reconstruction.bases.shape[-1] for one in more.levels.values()] == [16, 16, 16, 8]
    assert more.levels['4x'].mask is None
    assert type(doubt.levels['4x'].mask).__name__ == 'DoubtMask'
    keys = Config.fromfile('rates.py').optim_wrapper.paramwise_cfg.custom_keys
    assert keys.decode_head.lr_mult == 0.5


def test_training_images_are_written(leaves: Path) -> None:
    runpy.run_path('browse.py')
    image = cv2.imread('browsed/0.png')
    labels = image[:, image.shape[1] // 2:].reshape(-1, 3)
    assert {tuple(pixel) for pixel in labels.tolist()} == {(0, 0, 0), (0, 160, 0)}


def test_several_scales_and_a_crf_from_python(at_work: Path) -> None:
    text = Path('tta_crf.py').read_text().replace("'CONFIG'", "'small/config.py'")
    exec(text.replace('photo.jpg', 'small/data/images/0.png'), names := {})
    assert names['labels'].shape == cv2.imread('small/data/images/0.png').shape[:2]


def test_head_works_by_itself() -> None:
    block, = (block for block in blocks('docs/extending.md', 'python') if not block.file_name)
    exec(block.body, names := {})
    for kind, level, size in re.findall(r"(levels|masks) = .*'(\w+)': \((.+?)\)", block.body):
        assert names[kind][level].shape == tuple(map(int, size.split(',')))
    assert list(names['levels']) == ['32x', '16x', '8x', '4x'] == ['32x', *names['masks']]
