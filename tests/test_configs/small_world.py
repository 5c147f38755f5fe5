# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Tiny data sets where the configs look for them, and configs cut down to run on them."""

import copy
import functools
import os
from pathlib import Path
from unittest import mock

import numpy as np
from mmengine.config import Config
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lrr'
#: All but ``authors``, which has no data and no method in its name and takes a row.
NAMES = sorted(path.stem for path in CONFIGS.glob('*_*.py'))
SIDE = 64

_VOC, _CITY, _ADE = ('data/VOCdevkit/VOC2012', 'data/cityscapes', 'data/ade/ADEChallengeData2016')
#: Photographs, their label maps, names, size (testing Cityscapes in halves needs its width), and
#: values of labels.
_PAIRS = [
    (f'{_VOC}/JPEGImages/{{}}.jpg', f'{_VOC}/SegmentationClassAug/{{}}.png', 'abc', (72, 96),
     [0, 1, 15, 255]),
    ('data/coco/train2017/{}.jpg', 'data/coco/SegmentationClassVOC/train2017/{}.png', 'ab',
     (96, 72), [0, 3, 255]),
    *((f'{_CITY}/leftImg8bit/{split}/city/{{}}_leftImg8bit.png',
       f'{_CITY}/{kind}/{split}/city/{{}}_{kind}_labelTrainIds.png', names, (SIDE // 2, 2048),
       [0, 2, 18, 255]) for kind, split, names in (
           ('gtFine', 'train', 'ab'), ('gtFine', 'val', 'c'), ('gtCoarse', 'train_extra', 'xy'))),
    *((f'{_ADE}/images/{split}/{{}}.jpg', f'{_ADE}/annotations/{split}/{{}}.png', names, (72, 96),
       [0, 1, 150]) for split, names in (('training', 'ab'), ('validation', 'c'))),
    *((f'{folder}/JPEGImages/{{}}.jpg', f'{folder}/SegmentationClass/{{}}.png', 'abc', (72, 96),
       classes) for folder, classes in (('data/camvid', [0, 3, 10, 255]),
                                        ('work_dirs/demo/shapes', [0, 1, 6, 255]))),
]
_LISTS = {
    **{f'{folder}/ImageSets/Segmentation/{split}.txt': names for folder, split, names in (
        (_VOC, 'lrr_train', 'ab'), (_VOC, 'trainaug', 'ab'), (_VOC, 'seg11valid', 'c'),
        (_VOC, 'val', 'c'), ('data/camvid', 'train', 'ab'), ('data/camvid', 'val', 'c'),
        ('work_dirs/demo/shapes', 'train', 'ab'), ('work_dirs/demo/shapes', 'val', 'c'))},
    'data/coco/ImageSets/Segmentation/voc20.txt': ('train2017/a', 'train2017/b'),
    f'{_CITY}/ImageSets/coarse_train_extra.txt': ('city/x', 'city/y'),
}


@functools.cache
def _read(name: str) -> Config:
    switch, _, row = name.rpartition('/')
    with mock.patch.dict(os.environ, ROW=row):
        return Config.fromfile(CONFIGS / f'{switch or row}.py')


def load(name: str) -> Config:
    """A config, to be changed at will; ``authors/ROW`` for a row under the switch."""
    return copy.deepcopy(_read(name))


def last_head(model: dict) -> dict:
    """Config of the decode head, or of a cascade's last one."""
    return model.decode_head[-1] if isinstance(model.decode_head, list) else model.decode_head


def parts(dataset: dict) -> list[dict]:
    """Configs of the data sets that a data set's config is made of."""
    inner = dataset.get('datasets')
    return [part for one in inner for part in parts(one)] if inner else [dataset]


def make(root: Path) -> None:
    """Two training images and one for testing of every data set, in the published layouts.

    ``root`` stands for the repository's folder, from which the configs' paths start.
    """
    for images, labels, names, (height, width), classes in _PAIRS:
        for image, label in ((root / images.format(n), root / labels.format(n)) for n in names):
            rng = np.random.default_rng(list(image.name.encode()))
            image.parent.mkdir(parents=True, exist_ok=True)
            label.parent.mkdir(parents=True, exist_ok=True)
            photograph = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(photograph).save(image)
            blocks = rng.choice(classes, (-(-height // 16), -(-width // 16))).astype(np.uint8)
            Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width]).save(label)
    for path, names in _LISTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text('\n'.join(names) + '\n')


def cut_down(cfg: Config, work_dir: Path, narrow: bool) -> Config:
    """Keep all parts of a config, make everything small: one step on two crops of 64x64.

    ``narrow`` gives VGG's fc6 and fc7 64 channels in place of 4096, and classes 2 basis functions
    in place of 10.
    """
    cfg.merge_from_dict(dict(
        work_dir=str(work_dir), load_from=None, log_level='WARNING', randomness=dict(seed=0),
        env_cfg=dict(dist_cfg=dict(backend='gloo')), model=dict(pretrained=None),
        default_hooks=dict(checkpoint=dict(interval=1000, save_last=False))))
    model = cfg.model
    model.backbone.pop('init_cfg', None)
    if narrow and model.backbone.type == 'VGG16FC':
        model.backbone.fc_channels = 64
        model.decode_head.in_channels = [*model.decode_head.in_channels[:-1], 64]
    if narrow and last_head(model).type.startswith('LRR'):
        last_head(model).num_bases = 2
    if model.data_preprocessor.get('size'):
        model.data_preprocessor.size = (SIDE, SIDE)
    for dataset in parts(cfg.train_dataloader.dataset):
        scale = (2048, SIDE // 2) if dataset.type == 'CityscapesDataset' else (96, 72)
        small = dict(ScaleAugmentation=dict(canvas=SIDE, divisor=8),
                     RatioAugmentation=dict(canvas=SIDE), RandomResize=dict(scale=scale),
                     RandomCrop=dict(crop_size=(SIDE, SIDE)))
        for transform in dataset.pipeline:
            transform.update(small.get(transform.type, {}))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = 2
    length = 'max_epochs' if cfg.train_cfg.type == 'EpochBasedTrainLoop' else 'max_iters'
    cfg.train_cfg.update({length: 1, 'val_interval': 1000})
    for hook in cfg.custom_hooks:
        if hook.type == 'ClassBasesHook':
            hook.num_patches = 12
    return cfg
