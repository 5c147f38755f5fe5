"""LRR-4x with a ResNet-18 on the demo's shapes.

Reproduces: nothing of the paper; shows the whole system at work in minutes on a CPU.
Command: ``python tools/demo.py``.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/shapes.py', './_base_/default_runtime.py'
]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(type='ResNet', depth=18, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=[64, 128, 256, 512], num_classes=7,
        # A quarter of the side of an image, as 32 px is of the authors' smallest crops.
        loss_dilation_erosion=dict(radii=[8])))
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    # As in lrr4x_r18_camvid.py: the wider the feature, the smaller the step.
    paramwise_cfg=dict(
        custom_keys={
            'coefficients.32x.weight': dict(lr_mult=0.05),
            'coefficients.16x.weight': dict(lr_mult=0.1),
            'coefficients.8x.weight': dict(lr_mult=0.2),
            'coefficients.4x.weight': dict(lr_mult=0.4),
            '32x.coefficients.weight': dict(lr_mult=0.05),
            '16x.coefficients.weight': dict(lr_mult=0.1),
            '8x.coefficients.weight': dict(lr_mult=0.2),
            '4x.coefficients.weight': dict(lr_mult=0.4),
        }))
max_iters = 400
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=40, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=40, end=max_iters, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
custom_hooks = [dict(type='ClassBasesHook', num_patches=1000, seed=0)]
randomness = dict(seed=0)
