"""LRR-4x, masked, with DE, on a ResNet-18 from scratch, for small data sets and one device."""
_base_ = './lrr4x_r50.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(type='ResNet', depth=18, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=[64, 128, 256, 512]))
