"""LRR-4x, unmasked, without DE, VGG-16, VOC + COCO: stage 2.

Reproduces the poster's VOC+COCO row "unmasked": 71.3 (32x), 72.1 (16x), 72.9 (8x), 72.9 (4x), 74.0
(ms), 75.0 (ms-crf) % mIoU on VOC 2011 val. The epochs are ours.
Command: ``python tools/train.py configs/lrr/lrr4x-unmasked_vgg16_coco-voc.py`` after
``lrr32x-unmasked_vgg16_coco-voc.py``.
Cost: 325k images (3 epochs, batch 20) at 513 GFLOP each, 162 M weights; about 7.1 GB and 2.3 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/coco_voc.py',
    './_base_/schedules/vgg16_stage2_3e.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(boundary_mask=None, dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_coco-voc/epoch_13.pth'
