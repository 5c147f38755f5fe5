"""LRR-8x, unmasked, without DE, VGG-16, PASCAL VOC.

Reproduces the poster's LRR-8x on scale-augmented VOC: 69.5 % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr8x-unmasked_vgg16_voc.py`` after
``lrr32x-unmasked_vgg16_voc.py``.
Cost: 181k images (16 epochs, batch 20) at 439 GFLOP each, 161 M weights; about 6.7 GB and 1.1 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(
        in_channels=[512, 512, 4096], in_index=[1, 2, 3], boundary_mask=None,
        dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_voc/epoch_65.pth'
