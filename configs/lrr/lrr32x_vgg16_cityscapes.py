"""LRR-32x with DE, VGG-16, Cityscapes, fine annotations: stage 1.

Reproduces the start of ``lrr4x_vgg16_cityscapes.py``. Crops, rates and epochs are ours (the authors
released no training code for Cityscapes).
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_cityscapes.py``.
Cost: 193k images (65 epochs, batch 4) at 1507 GFLOP each, 193 M weights; about 5.6 GB and 4.0 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        in_channels=[4096], in_index=[3], num_classes=19, boundary_mask=None,
        loss_dilation_erosion=dict(void='ignore')),
    test_cfg=dict(mode='halves'))
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler'))
