# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Tiny data sets where the configs look for them, and configs cut down to run on them."""

import copy
import functools
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lrr'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))

SIDE = 64


@functools.cache
def _read(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def load(name: str) -> Config:
    """A config, to be changed at will."""
    return copy.deepcopy(_read(name))


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def _pair(image: Path, labels: Path, size: tuple[int, int], classes: list[int]) -> None:
    """A random photograph and blocks of labels."""
    rng = np.random.default_rng(list(image.name.encode()))
    _write(image, rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    blocks = rng.choice(classes, (-(-size[0] // 16), -(-size[1] // 16))).astype(np.uint8)
    _write(labels, blocks.repeat(16, 0).repeat(16, 1)[:size[0], :size[1]])


def _list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(names) + '\n')


def make(root: Path) -> None:
    """Two training images and one for testing of every data set, in the published layouts.

    Args:
        root: Stands for the repository's folder, from which the configs' paths start.
    """
    train, val = ['a', 'b'], ['c']
    voc = root / 'data' / 'VOCdevkit' / 'VOC2012'
    for name in train + val:
        _pair(voc / 'JPEGImages' / f'{name}.jpg', voc / 'SegmentationClassAug' / f'{name}.png',
              (72, 96), [0, 1, 15, 255])
    for split in ('lrr_train', 'trainaug'):
        _list(voc / 'ImageSets' / 'Segmentation' / f'{split}.txt', train)
    for split in ('seg11valid', 'val'):
        _list(voc / 'ImageSets' / 'Segmentation' / f'{split}.txt', val)
    coco = root / 'data' / 'coco'
    for name in train:
        _pair(coco / 'train2017' / f'{name}.jpg',
              coco / 'SegmentationClassVOC' / 'train2017' / f'{name}.png', (96, 72), [0, 3, 255])
    _list(coco / 'ImageSets' / 'Segmentation' / 'voc20.txt', [f'train2017/{n}' for n in train])
    cityscapes = root / 'data' / 'cityscapes'
    for kind, split, names in (('gtFine', 'train', train), ('gtFine', 'val', val),
                               ('gtCoarse', 'train_extra', ['x', 'y'])):
        for name in names:
            # As wide as the real ones: testing in halves needs it.
            _pair(cityscapes / 'leftImg8bit' / split / 'city' / f'{name}_leftImg8bit.png',
                  cityscapes / kind / split / 'city' / f'{name}_{kind}_labelTrainIds.png',
                  (SIDE // 2, 2048), [0, 2, 18, 255])
    _list(cityscapes / 'ImageSets' / 'coarse_train_extra.txt', ['city/x', 'city/y'])
    ade = root / 'data' / 'ade' / 'ADEChallengeData2016'
    for split, names in (('training', train), ('validation', val)):
        for name in names:
            # 0 stands for unlabelled there.
            _pair(ade / 'images' / split / f'{name}.jpg',
                  ade / 'annotations' / split / f'{name}.png', (72, 96), [0, 1, 150])
    for folder, classes in ((root.parent / 'shared' / 'data' / 'camvid', [0, 3, 10, 255]),
                            (root / 'work_dirs' / 'demo' / 'shapes', [0, 1, 6, 255])):
        for name in train + val:
            _pair(folder / 'JPEGImages' / f'{name}.jpg',
                  folder / 'SegmentationClass' / f'{name}.png', (72, 96), classes)
        _list(folder / 'ImageSets' / 'Segmentation' / 'train.txt', train)
        _list(folder / 'ImageSets' / 'Segmentation' / 'val.txt', val)


def cut_down(cfg: Config, work_dir: Path, narrow: bool) -> Config:
    """Keep all parts of a config, make everything small: one step on two crops of 64x64.

    Args:
        cfg: The config.
        work_dir: Folder for what the run writes.
        narrow: Give VGG's fc6 and fc7 64 channels in place of 4096, and classes 2 basis functions
            in place of 10.
    """
    cfg.work_dir = str(work_dir)
    cfg.load_from = None
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=0)
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model.pretrained = None
    cfg.model.backbone.pop('init_cfg', None)
    if narrow and cfg.model.backbone.type == 'VGG16FC':
        cfg.model.backbone.fc_channels = 64
        cfg.model.decode_head.in_channels = [*cfg.model.decode_head.in_channels[:-1], 64]
    if narrow and cfg.model.decode_head.type == 'LRRHead':
        cfg.model.decode_head.num_bases = 2
    if cfg.model.data_preprocessor.get('size'):
        cfg.model.data_preprocessor.size = (SIDE, SIDE)
    if cfg.model.data_preprocessor.get('scale_augmentation'):
        cfg.model.data_preprocessor.scale_augmentation.update(canvas=SIDE, divisor=8)
    datasets = cfg.train_dataloader.dataset
    for dataset in datasets.get('datasets', [datasets]):
        for transform in dataset.pipeline:
            if transform.type == 'ScaleAugmentation':
                transform.update(canvas=SIDE, divisor=8)
            elif transform.type == 'RatioAugmentation':
                transform.canvas = SIDE
            elif transform.type == 'RandomResize':
                wide = dataset.type == 'CityscapesDataset'
                transform.scale = (2048, SIDE // 2) if wide else (96, 72)
            elif transform.type == 'RandomCrop':
                transform.crop_size = (SIDE, SIDE)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = 2
    if cfg.train_cfg.type == 'EpochBasedTrainLoop':
        cfg.train_cfg.update(max_epochs=1, val_interval=1000)
    else:
        cfg.train_cfg.update(max_iters=1, val_interval=1000)
    cfg.default_hooks.checkpoint.update(interval=1000, save_last=False)
    for hook in cfg.custom_hooks:
        if hook.type == 'ClassBasesHook':
            hook.num_patches = 12
    return cfg
