"""LRR-16x, unmasked, without DE, VGG-16, PASCAL VOC.

Reproduces the poster's LRR-16x on scale-augmented VOC: 67.8 % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr16x-unmasked_vgg16_voc.py`` after
``lrr32x-unmasked_vgg16_voc.py``.
Cost: 181k images (16 epochs, batch 20) at 401 GFLOP each, 158 M weights; about 6.5 GB and 1.0 hour
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
        in_channels=[512, 4096], in_index=[2, 3], boundary_mask=None, dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_voc/epoch_65.pth'
