"""FCN-8s on VGG-16, the poster's baseline: scores of pool3, pool4 and fc7."""
_base_ = './vgg16_imagenet.py'
model = dict(
    decode_head=dict(
        type='FCNSkipHead',
        in_channels=[256, 512, 4096],
        in_index=[0, 1, 3],
        num_classes=21,
        pool_skips=True,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True, loss_weight=1.0)),
    test_cfg=dict(mode='whole'))
