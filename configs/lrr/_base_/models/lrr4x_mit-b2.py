"""LRR-4x, masked, with DE, on MiT-B2, SegFormer's backbone.

Images are padded to multiples of 32 in testing too: how this backbone pads by itself is more than
the ONNX exporter can follow.
"""
_base_ = './lrr4x_r50.py'
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='MixVisionTransformer',
        in_channels=3,
        embed_dims=64,
        num_stages=4,
        num_layers=[3, 4, 6, 3],
        num_heads=[1, 2, 5, 8],
        patch_sizes=[7, 3, 3, 3],
        sr_ratios=[8, 4, 2, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b2_20220624-66e8bf70.pth')),
    decode_head=dict(in_channels=[64, 128, 320, 512]))
