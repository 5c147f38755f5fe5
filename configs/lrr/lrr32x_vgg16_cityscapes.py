"""LRR-32x with DE, VGG-16, Cityscapes, fine annotations: stage 1.

Reproduces: the start of ``lrr4x_vgg16_cityscapes.py``. The authors released no training code for
Cityscapes: crops, rates and epochs are ours, masks and testing in two halves theirs.
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_cityscapes.py``.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3], num_classes=19, boundary_mask=None),
    test_cfg=dict(mode='halves'))
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler'))
