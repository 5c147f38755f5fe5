"""LRR-4x, masked, with DE, VGG-16, PASCAL VOC: stage 2 of the authors' recipe.

Reproduces the poster's VOC row "masked+DE": 68.8 (32x), 70.0 (16x), 70.9 (8x), 71.1 (4x), 73.6
(ms), 74.6 (ms-crf) % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_voc.py`` after ``lrr32x_vgg16_voc.py``.
Cost: 181k images (16 epochs, batch 20) at 551 GFLOP each, 205 M weights; about 8.6 GB and 1.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None))
load_from = 'work_dirs/lrr32x_vgg16_voc/epoch_65.pth'
