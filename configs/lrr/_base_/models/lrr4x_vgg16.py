"""LRR-4x, masked, with DE, on VGG-16: the poster's network."""
_base_ = './vgg16_imagenet.py'
model = dict(
    decode_head=dict(
        type='LRRHead',
        in_channels=[256, 512, 512, 4096],
        in_index=[0, 1, 2, 3],
        num_classes=21,
        boundary_mask=dict(type='BoundaryMask'),
        dilation_erosion=dict(type='DilationErosionBranch', levels=['32x']),
        loss_decode=dict(type='LevelCrossEntropyLoss'),
        # VOC's class 0 is the background; elsewhere void='ignore'.
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=32, void='class0')),
    test_cfg=dict(mode='whole', level_outputs=True))
