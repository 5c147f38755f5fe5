"""Stage 2 with one scale per batch, as the released code draws it.

Reproduces what ``lrr4x_vgg16_voc.py`` does, closer to the released code. A batch of small images
stays small.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_voc_batch-scale.py`` after
``lrr32x_vgg16_voc_batch-scale.py``.
Cost: 181k images (16 epochs, batch 20) at 551 GFLOP each, 205 M weights; about 8.6 GB and 1.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc_batch_scale.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size_divisor=32, scale_augmentation=dict(type='ScaleAugmentation')),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None))
load_from = 'work_dirs/lrr32x_vgg16_voc_batch-scale/epoch_65.pth'
