"""LRR-4x, masked, with DE, VGG-16, VOC + COCO: stage 2.

Reproduces the poster's VOC+COCO row "masked+DE": 72.9 (32x), 73.9 (16x), 74.9 (8x), 75.1 (4x), 76.6
(ms), 77.5 (ms-crf) % mIoU on VOC 2011 val. The epochs are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_coco-voc.py`` after
``lrr32x_vgg16_coco-voc.py``.
Cost: 325k images (3 epochs, batch 20) at 551 GFLOP each, 205 M weights; about 8.6 GB and 2.5 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/coco_voc.py',
    './_base_/schedules/vgg16_stage2_3e.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None))
load_from = 'work_dirs/lrr32x_vgg16_coco-voc/epoch_13.pth'
