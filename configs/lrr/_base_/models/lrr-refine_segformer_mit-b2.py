"""LRR's levels 16x, 8x and 4x on a frozen SegFormer, as mmseg has it on MiT-B2.

The weights come from the checkpoint of the network that is refined.
"""
_base_ = './lrr4x_mit-b2.py'
model = dict(
    type='LRRCascadeEncoderDecoder',
    frozen_stages=1,
    backbone=dict(init_cfg=None),
    decode_head=[
        dict(
            type='SegformerHead',
            in_channels=[64, 128, 320, 512],
            in_index=[0, 1, 2, 3],
            channels=256,
            dropout_ratio=0.1,
            num_classes=150,
            norm_cfg={{_base_.norm_cfg}},
            align_corners=False),
        dict(
            type='LRRRefineHead',
            in_channels=[64, 128, 320],
            in_index=[0, 1, 2],
            num_classes=150,
            kernel_size=1)
    ])
