"""LRR-4x, masked, with DE, VGG-16, Cityscapes, fine and coarse annotations: stage 2.

Reproduces: the authors' 71.8 % mIoU on the Cityscapes test server. The authors released no training
code for Cityscapes: crops, rates and epochs are ours, masks and testing in two halves theirs.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_cityscapes-coarse.py`` after stage 1
(``lrr32x_vgg16_cityscapes-coarse.py``), whose last checkpoint ``load_from`` names; the new levels
start at zero.
Test: ``python tools/test.py configs/lrr/lrr4x_vgg16_cityscapes-coarse.py
work_dirs/lrr4x_vgg16_cityscapes-coarse/epoch_3.pth`` gives every level, ``--aug-test`` ms,
``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes_coarse.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=19, boundary_mask=dict(window=17)),
    test_cfg=dict(mode='halves'))
load_from = 'work_dirs/lrr32x_vgg16_cityscapes-coarse/epoch_13.pth'
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler'))

train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
