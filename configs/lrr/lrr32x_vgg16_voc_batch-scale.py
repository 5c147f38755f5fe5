"""Stage 1 with one scale per batch, as the released code draws it.

Reproduces what ``lrr32x_vgg16_voc.py`` does, closer to the released code. A batch of small images
stays small.
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_voc_batch-scale.py``.
Cost: 734k images (65 epochs, batch 20) at 429 GFLOP each, 199 M weights; about 7.0 GB and 4.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc_batch_scale.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size_divisor=32, scale_augmentation=dict(type='ScaleAugmentation')),
    decode_head=dict(in_channels=[4096], in_index=[3], boundary_mask=None))
