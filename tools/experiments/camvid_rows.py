# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the rows of the CamVid experiment are: configs derived from ``lrr4x_r18_camvid.py``.

A row is one or two stages of training. Backbone, data, augmentation, batches and the rule of the
schedule are the same in all; rows differ in the head alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import soft_start  # noqa: F401  (registers the mask and its hook)
from efficientnet_lite0 import CHANNELS, MEAN, STD
from mmengine.config import Config, ConfigDict

from mmseg_lrr.apis.configs import get_config

NUM_CLASSES = 11
TRIMAP_WIDTHS = (1, 2, 3, 4, 5, 7, 10, 15, 20)
BATCH_SIZE = 8
LEARNING_RATE = 1e-3
#: Factor of a head's rate, by the network, where it is not 1: the best of 1, 3 and 10 in pilots of
#: 60 iterations of FCN-8s and unmasked LRR-4x; of 1, 10 and 30 in whole runs of LRR-32x with 1x1
#: filters, which have a 25th of the taps. LRR's coefficients have those of the base config too.
HEAD_RATES = {'fcn32s': 3.0, 'fcn8s': 3.0, 'lrr32x-1x1': 30.0}

_NORM = dict(type='BN', requires_grad=True)
_CROSS_ENTROPY = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)


@dataclass(frozen=True)
class FrameSize:
    """The size at which a whole experiment runs, and what goes with it.

    Attributes:
        image: Width and height of a frame, in pixels.
        crop: Width and height of a training crop.
        dilation_erosion_radius: The authors' 32 px, scaled as the frames are.
        suffix: Of the frames' files.
    """

    image: tuple[int, int]
    crop: tuple[int, int]
    dilation_erosion_radius: int
    suffix: str


#: By name. Half size is what :func:`half_size.halve_camvid` makes.
FRAME_SIZES = {
    'half': FrameSize((240, 180), (160, 160), 16, '.png'),
    'full': FrameSize((480, 360), (320, 320), 32, '.jpg'),
}


@dataclass(frozen=True)
class Stage:
    """One training.

    Attributes:
        network: Name of the network, of :data:`NETWORKS`.
        share: Of the row's iterations.
        after: The stage whose weights it starts from; None: from ImageNet.
    """

    network: str
    share: float = 1.0
    after: Stage | None = None

    def name(self, iterations: int, seed: int) -> str:
        """Name of its folder: what was trained, for how long, and after what."""
        own = f'{self.network}_{round(self.share * iterations)}'
        if self.after is None:
            return f'{own}_seed{seed}'
        return f'{self.after.name(iterations, seed)}__{own}'


def _lrr(levels: int, *, mask: str | None, dilation_erosion: bool, kernel_size: int = 5,
         reconstruction_factor: int = 4) -> tuple[dict, dict | None, int]:
    head = dict(
        type='LRRHead',
        in_channels=list(CHANNELS[-levels:]),
        in_index=list(range(4 - levels, 4)),
        num_classes=NUM_CLASSES,
        kernel_size=kernel_size,
        reconstruction_factor=reconstruction_factor,
        boundary_mask=dict(type=mask) if mask else None,
        dilation_erosion=None,
        loss_decode=dict(type='LevelCrossEntropyLoss'))
    if dilation_erosion:
        head.update(
            dilation_erosion=dict(type='DilationErosionBranch', levels=['32x']),
            loss_dilation_erosion=dict(type='DilationErosionLoss'))
    return head, None, 32


def _fcn(levels: int) -> tuple[dict, dict | None, int]:
    head = dict(
        type='FCNSkipHead',
        in_channels=list(CHANNELS[-levels:]),
        in_index=list(range(4 - levels, 4)),
        num_classes=NUM_CLASSES,
        loss_decode=dict(**_CROSS_ENTROPY, avg_non_ignore=True))
    return head, None, 32


def _auxiliary() -> dict:
    """The auxiliary head that the toolbox gives its own networks, with as many channels."""
    return dict(
        type='FCNHead', in_channels=CHANNELS[2], in_index=2, channels=64, num_convs=1,
        concat_input=False, dropout_ratio=0.1, num_classes=NUM_CLASSES, norm_cfg=_NORM,
        align_corners=False, loss_decode={**_CROSS_ENTROPY, 'loss_weight': 0.4})


def _deeplabv3plus() -> tuple[dict, dict | None, int]:
    head = dict(
        type='DepthwiseSeparableASPPHead', in_channels=CHANNELS[3], in_index=3, channels=128,
        dilations=(1, 6, 12, 18), c1_in_channels=CHANNELS[0], c1_channels=12, dropout_ratio=0.1,
        num_classes=NUM_CLASSES, norm_cfg=_NORM, align_corners=False, loss_decode=_CROSS_ENTROPY)
    return head, _auxiliary(), 16


def _upernet() -> tuple[dict, dict | None, int]:
    head = dict(
        type='UPerHead', in_channels=list(CHANNELS), in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6), channels=128, dropout_ratio=0.1, num_classes=NUM_CLASSES,
        norm_cfg=_NORM, align_corners=False, loss_decode=_CROSS_ENTROPY)
    return head, _auxiliary(), 32


#: Name -> head, auxiliary head or None, stride of the backbone's last map.
NETWORKS = {
    'fcn32s': _fcn(1),
    'fcn8s': _fcn(3),
    'lrr32x': _lrr(1, mask=None, dilation_erosion=False),
    'lrr32x-1x1': _lrr(1, mask=None, dilation_erosion=False, kernel_size=1),
    'lrr32x-full': _lrr(1, mask=None, dilation_erosion=False, reconstruction_factor=32),
    'lrr32x-de': _lrr(1, mask=None, dilation_erosion=True),
    'lrr16x-unmasked': _lrr(2, mask=None, dilation_erosion=False),
    'lrr8x-unmasked': _lrr(3, mask=None, dilation_erosion=False),
    'lrr4x-unmasked': _lrr(4, mask=None, dilation_erosion=False),
    'lrr4x-masked': _lrr(4, mask='BoundaryMask', dilation_erosion=False),
    'lrr4x-soft-start': _lrr(4, mask='SoftStartMask', dilation_erosion=False),
    'lrr4x-masked-de': _lrr(4, mask='BoundaryMask', dilation_erosion=True),
    'deeplabv3plus': _deeplabv3plus(),
    'upernet': _upernet(),
}

#: Rows by priority. The CRF is tuned on the first one.
ROWS = {
    'lrr4x-unmasked': Stage('lrr4x-unmasked'),
    'fcn8s': Stage('fcn8s'),
    'fcn32s': Stage('fcn32s'),
    'lrr4x-masked-de, 32x first': Stage('lrr4x-masked-de', 0.5, Stage('lrr32x-de', 0.5)),
    'lrr4x-masked, 32x first': Stage('lrr4x-masked', 0.5, Stage('lrr32x', 0.5)),
    'lrr4x-unmasked, 32x first': Stage('lrr4x-unmasked', 0.5, Stage('lrr32x', 0.5)),
    'lrr4x-masked-de, at once': Stage('lrr4x-masked-de'),
    'lrr32x': Stage('lrr32x'),
    'lrr8x-unmasked': Stage('lrr8x-unmasked'),
    'lrr16x-unmasked': Stage('lrr16x-unmasked'),
    'lrr4x-masked, unmasked first': Stage('lrr4x-masked', 0.5, Stage('lrr4x-unmasked', 0.5)),
    'deeplabv3plus': Stage('deeplabv3plus'),
    'upernet': Stage('upernet'),
    'lrr4x-masked, at once': Stage('lrr4x-masked'),
    'lrr4x-masked, soft start': Stage('lrr4x-soft-start'),
    # Why LRR-32x is behind FCN-32s: a 5x5 filter on the 5x5 map of a crop, or scores and labels
    # of an eighth of the size, or neither.
    'lrr32x, 1x1 filters': Stage('lrr32x-1x1'),
    'lrr32x, full-size scores': Stage('lrr32x-full'),
}


def stage_config(stage: Stage, data_root: Path, iterations: int, seed: int,
                 head_rate: float | None = None, size: str = 'half') -> Config:
    """Config of one stage; ``work_dir``, ``load_from`` and the class bases' file are left open.

    Args:
        stage: What to train.
        data_root: CamVid at that size.
        iterations: Of the whole row.
        seed: Of everything random.
        head_rate: Factor of the head's rate; None: by :data:`HEAD_RATES`.
        size: One of :data:`FRAME_SIZES`.
    """
    cfg = get_config('lrr4x_r18_camvid')
    frames = FRAME_SIZES[size]
    head, auxiliary, output_stride = copy.deepcopy(NETWORKS[stage.network])
    levels = head['type'] == 'LRRHead'
    if 'loss_dilation_erosion' in head:
        head['loss_dilation_erosion']['radii'] = [frames.dilation_erosion_radius]
    cfg.model = ConfigDict(
        type='LRREncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[MEAN] * 3, std=[STD] * 3, bgr_to_rgb=True,
            pad_val=0, seg_pad_val=255, size=frames.crop),
        backbone=dict(type='EfficientNetLite0', output_stride=output_stride),
        decode_head=head,
        train_cfg=dict(),
        test_cfg=dict(mode='whole', level_outputs=levels))
    if auxiliary:
        cfg.model.auxiliary_head = auxiliary
    cfg.custom_imports.imports = ['mmseg_lrr', 'efficientnet_lite0', 'soft_start']
    _set_data(cfg, data_root, frames)
    _set_schedule(cfg, round(stage.share * iterations))
    _set_head_rate(
        cfg, HEAD_RATES.get(stage.network, 1.0) if head_rate is None else head_rate)
    if not levels:
        cfg.custom_hooks = []
    elif (head['boundary_mask'] or {}).get('type') == 'SoftStartMask':
        cfg.custom_hooks.append(dict(type='SoftStartHook'))
    cfg.randomness = dict(seed=seed)
    cfg.experiment_name = stage.name(iterations, seed)
    return cfg


def _set_data(cfg: Config, data_root: Path, frames: FrameSize) -> None:
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.update(data_root=str(data_root), img_suffix=frames.suffix)
        loader.num_workers = 1
    cfg.train_dataloader.batch_size = BATCH_SIZE
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'RandomResize':
            step.scale = frames.image
        elif step.type == 'RandomCrop':
            step.crop_size = frames.crop
    (_, resizes, *_) = cfg.tta_pipeline[-1].transforms
    for step in [*cfg.test_dataloader.dataset.pipeline, *resizes]:
        if step.type == 'ResizeToCanvas':
            step.pad_value = [MEAN] * 3
    cfg.test_evaluator = ConfigDict(
        type='LRRIoUMetric', iou_metrics=['mIoU'], trimap=dict(widths=list(TRIMAP_WIDTHS)))


def _set_head_rate(cfg: Config, factor: float) -> None:
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    for key in keys.values():
        key.lr_mult *= factor
    # Of the keys that match a name the longest counts.
    keys.decode_head = dict(lr_mult=factor)


def _set_schedule(cfg: Config, iterations: int) -> None:
    """Warm-up over a tenth, then a polynomial descent to the end."""
    warm_up = max(iterations // 10, 1)
    cfg.optim_wrapper.optimizer.lr = LEARNING_RATE
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up, by_epoch=False),
        dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=warm_up, end=iterations,
             by_epoch=False),
    ]
    cfg.train_cfg = ConfigDict(type='IterBasedTrainLoop', max_iters=iterations)
    # Tested at the end, not on the way.
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.logger.interval = 20
    cfg.default_hooks.checkpoint.update(interval=max(iterations // 4, 1), max_keep_ckpts=1)
