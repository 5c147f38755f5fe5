"""LRR-4x, masked, with DE, ResNet-18 from scratch, CamVid: real data on a small machine.

Reproduces: nothing of the paper, which has no CamVid.
Command: ``python tools/train.py configs/lrr/lrr4x_r18_camvid.py``; the data's path:
``--cfg-options train_dataloader.dataset.data_root=DIR val_dataloader.dataset.data_root=DIR
test_dataloader.dataset.data_root=DIR``.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/camvid.py', './_base_/default_runtime.py'
]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(type='ResNet', depth=18, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=[64, 128, 256, 512], num_classes=11))
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    # A coefficient's step is summed over its filter's 25 taps a channel and amplified by the bases,
    # whose norms reach 8: at the full rate the loss rises at first. The wider the feature, the
    # smaller the step.
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
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=100, end=4000, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
