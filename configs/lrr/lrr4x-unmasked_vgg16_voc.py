"""LRR-4x, unmasked, without DE, VGG-16, PASCAL VOC.

Reproduces the poster's VOC row "unmasked": 67.1 (32x), 68.6 (16x), 69.3 (8x), 69.3 (4x), 71.9 (ms),
73.2 (ms-crf) % mIoU on VOC 2011 val; its other table has 69.0 and 71.4 (ms) for the same network.
Command: ``python tools/train.py configs/lrr/lrr4x-unmasked_vgg16_voc.py`` after
``lrr32x-unmasked_vgg16_voc.py``.
Cost: 181k images (16 epochs, batch 20) at 513 GFLOP each, 162 M weights; about 7.1 GB and 1.3 hours
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
    decode_head=dict(boundary_mask=None, dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_voc/epoch_65.pth'
