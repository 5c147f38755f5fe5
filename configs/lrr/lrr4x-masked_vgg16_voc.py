"""LRR-4x, masked, without DE, VGG-16, PASCAL VOC.

Reproduces the poster's VOC row "masked": 67.0 (32x), 69.2 (16x), 70.3 (8x), 70.5 (4x), 73.0 (ms),
74.1 (ms-crf) % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr4x-masked_vgg16_voc.py`` after
``lrr32x-unmasked_vgg16_voc.py``.
Cost: 181k images (16 epochs, batch 20) at 513 GFLOP each, 162 M weights; about 8.1 GB and 1.3 hours
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
    decode_head=dict(dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_voc/epoch_65.pth'
