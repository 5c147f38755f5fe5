"""LRR-4x with a ResNet-18 on the demo's shapes.

Reproduces nothing of the paper; shows the whole system at work. Expect about 83 % mIoU at 4x and 65
% at 32x (README.md).
Command: ``python tools/demo.py``.
Cost: 8k images (1000 iterations of 8) at 1 GFLOP each, 3 M weights; three to five minutes on two
CPU cores.
"""
_base_ = [
    './_base_/models/lrr4x_r18.py', './_base_/datasets/shapes.py', './_base_/default_runtime.py',
    './_base_/schedules/adamw_r18.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Half as wide, an iteration takes half as long: more of them teach more in the same time.
    backbone=dict(base_channels=32),
    # A quarter of the side of an image, as 32 px is of the authors' smallest crops.
    decode_head=dict(
        in_channels=[32, 64, 128, 256],
        num_classes=7,
        loss_dilation_erosion=dict(radii=8)))
max_iters = 1000
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=40, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=40, end=max_iters, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
custom_hooks = [
    dict(type='ClassBasesHook', num_patches=1000, seed=0),
    dict(type='CoefficientRatesHook')
]
randomness = dict(seed=0)
