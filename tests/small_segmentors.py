# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Small segmentors with random weights, and what feeds them images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

CLASSES, PALETTE = ('a', 'b', 'c'), [[0, 0, 0], [255, 0, 0], [0, 255, 0]]
MEAN = [123.675, 116.28, 103.53]
META_KEYS = ('img_path', 'ori_shape', 'img_shape', 'pad_shape', 'padding_size', 'flip',
             'flip_direction', 'ori_img')


def lrr_config(num_classes: int = 3, *, head: dict | None = None,
               test_cfg: dict | None = None, type: str = 'LRREncoderDecoder') -> dict:
    """LRR-4x on a thin ResNet-18."""
    return dict(
        type=type,
        data_preprocessor=dict(
            type='LRRDataPreProcessor', mean=MEAN, std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
        backbone=dict(
            type='ResNet', depth=18, base_channels=8, dilations=(1, 1, 1, 1),
            strides=(1, 2, 2, 2), norm_cfg=dict(type='BN')),
        decode_head={
            **dict(type='LRRHead', in_channels=[8, 16, 32, 64], num_classes=num_classes,
                   dilation_erosion=None),
            **(head or {}),
        },
        train_cfg=dict(),
        test_cfg={**dict(mode='whole'), **(test_cfg or {})})


def stock_config(num_classes: int = 3) -> dict:
    """The toolbox's own segmentor and head, whose scores are at 1/32 of the input."""
    return {
        **lrr_config(type='EncoderDecoder'),
        'decode_head': dict(
            type='FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1,
            concat_input=False, num_classes=num_classes, norm_cfg=dict(type='BN'),
            align_corners=False),
    }


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a model random weights under which every class wins somewhere, at every level."""
    generator = torch.Generator().manual_seed(seed)
    # Random backbones' finer maps have larger values.
    scales = {'32x': 2.5, '16x': .8, '8x': .4, '4x': .15}
    for name, parameter in model.named_parameters():
        if 'decode_head' in name and parameter.ndim == 4:
            level = next((part for part in name.split('.') if part in scales), None)
            with torch.no_grad():
                parameter.copy_(scales.get(level, 2.) *
                                torch.randn(parameter.shape, generator=generator))
    return model.eval()


def build(config: dict, seed: int = 0) -> nn.Module:
    """Build a model of a config, its weights always the same for a seed."""
    init_default_scope('mmseg')
    torch.manual_seed(seed)
    return randomise(MODELS.build(ConfigDict(config)), seed)


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8 of patches and noise."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 200, (height // 16 + 1, width // 16 + 1, 3))
    patches = patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return (patches + random.integers(0, 56, (height, width, 3))).astype(np.uint8)


def single_pipeline(*, keep: bool = True, file: bool = False) -> list[dict]:
    """What the configs have, for arrays unless ``file``."""
    return [
        dict(type='LoadImageFromFile' if file else 'LoadImageFromNDArray'),
        *([dict(type='KeepOriginalImage')] if keep else []),
        dict(type='ResizeToCanvas', scale=1.0),
        dict(type='LoadAnnotationsIfAny'),
        dict(type='PackSegInputs', meta_keys=META_KEYS),
    ]


def tta_pipeline(*, scales: Sequence[float] = (0.6, 0.8, 1.0), flips: Sequence[float] = (0., ),
                 direction: str = 'horizontal', keep: bool = True,
                 file: bool = False) -> list[dict]:
    """What the configs have, for arrays unless ``file``."""
    return [
        dict(type='LoadImageFromFile' if file else 'LoadImageFromNDArray'),
        *([dict(type='KeepOriginalImage')] if keep else []),
        dict(type='TestTimeAug', transforms=[
            [dict(type='RandomFlip', prob=prob, direction=direction) for prob in flips],
            [dict(type='ResizeToCanvas', scale=scale) for scale in scales],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys=META_KEYS)],
        ]),
    ]


def batch(pipeline: list[dict], *data: np.ndarray | dict) -> dict:
    """Images, or what a data set would give, through a pipeline, as the data loader gives them."""
    init_default_scope('mmseg')
    transform = Compose(pipeline)
    return pseudo_collate([
        transform(item if isinstance(item, dict) else dict(img=item)) for item in data])


def predict(model: nn.Module, pipeline: list[dict], *data: np.ndarray | dict) -> SegDataSample:
    """The prediction of one image."""
    with torch.no_grad():
        (sample, ) = model.test_step(batch(pipeline, *data))
    return sample


def make_images(folder: Path, count: int = 5) -> Path:
    """Write ``images`` of different sizes and ``labels`` of 3 classes in blocks."""
    for name in ('images', 'labels'):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        height, width = 50 + 4 * index, 70 - 6 * index
        cv2.imwrite(str(folder / 'images' / f'{index}.png'), random_image(height, width, index))
        labels = np.random.default_rng(index).integers(0, 3, (height // 10 + 1, width // 10 + 1))
        labels = labels.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]
        cv2.imwrite(str(folder / 'labels' / f'{index}.png'), labels)
    return folder


def dataset_config(folder: Path, pipeline: list[dict] | None = None) -> dict:
    """All images of the folder, in the order of their names."""
    return dict(
        type='BaseSegDataset', data_root=str(folder), img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=CLASSES, palette=PALETTE),
        pipeline=single_pipeline(file=True) if pipeline is None else pipeline)
