"""LRR-4x, masked, with DE, on ConvNeXt-T.

Its maps are rounded down, so images are padded to multiples of 32 in testing too: otherwise it
would not see their last pixels, and could not be exported to ONNX.
"""
_base_ = './lrr4x_r50.py'
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.4,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
            'convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
            prefix='backbone.')),
    decode_head=dict(in_channels=[96, 192, 384, 768]))
