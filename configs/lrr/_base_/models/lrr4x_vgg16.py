"""LRR-4x, masked, with DE, on VGG-16: the poster's network.

From mmpretrain's ImageNet weights, whose images have a mean and a standard deviation. The authors'
own start weights take RGB minus a mean, no division: use them with their own data_preprocessor.
"""
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255)
model = dict(
    type='LRREncoderDecoder',
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        type='VGG16FC',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/'
            'vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone.')),
    decode_head=dict(
        type='LRRHead',
        in_channels=[256, 512, 512, 4096],
        in_index=[0, 1, 2, 3],
        num_classes=21,
        boundary_mask=dict(type='BoundaryMask'),
        dilation_erosion=dict(type='DilationErosionBranch', levels=['32x']),
        loss_decode=dict(type='LevelCrossEntropyLoss'),
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[32])),
    train_cfg=dict(),
    test_cfg=dict(mode='whole', level_outputs=True))
