"""LRR's levels 16x, 8x and 4x on a frozen UPerNet, as mmseg has it on ResNet-50.

The weights come from the checkpoint of the network that is refined.
"""
_base_ = './lrr4x_r50.py'
model = dict(
    type='LRRCascadeEncoderDecoder',
    frozen_stages=1,
    pretrained=None,
    decode_head=[
        dict(
            type='UPerHead',
            in_channels=[256, 512, 1024, 2048],
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2, 3, 6),
            channels=512,
            dropout_ratio=0.1,
            num_classes=19,
            norm_cfg={{_base_.norm_cfg}},
            align_corners=False),
        dict(
            type='LRRRefineHead',
            in_channels=[256, 512, 1024],
            in_index=[0, 1, 2],
            num_classes=19,
            kernel_size=1)
    ])
