"""LRR's levels 8x and 4x on a frozen DeepLabV3+, as mmseg has it on ResNet-101 at stride 8.

Of the dilated backbone's maps, at strides 4, 8, 8 and 8, the first two double. The weights come
from the checkpoint of the network that is refined.
"""
_base_ = './lrr4x_r101.py'
model = dict(
    type='LRRCascadeEncoderDecoder',
    frozen_stages=1,
    pretrained=None,
    backbone=dict(dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
    decode_head=[
        dict(
            type='DepthwiseSeparableASPPHead',
            in_channels=2048,
            in_index=3,
            channels=512,
            dilations=(1, 12, 24, 36),
            c1_in_channels=256,
            c1_channels=48,
            dropout_ratio=0.1,
            num_classes=21,
            norm_cfg={{_base_.norm_cfg}},
            align_corners=False),
        dict(
            type='LRRRefineHead',
            in_channels=[256, 512],
            in_index=[0, 1],
            num_classes=21,
            kernel_size=1)
    ])
