"""LRR-4x, masked, with DE, VGG-16, Cityscapes, fine annotations: stage 2.

Reproduces LRR-4x without coarse annotations: 69.7 % mIoU on the Cityscapes test server in public
tables. Crops, rates and epochs are ours; masks and testing in two halves the authors'.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_cityscapes.py`` after
``lrr32x_vgg16_cityscapes.py``.
Cost: 48k images (16 epochs, batch 4) at 1898 GFLOP each, 199 M weights; about 6.7 GB and 1.3 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(
        num_classes=19, boundary_mask=dict(window=17),
        loss_dilation_erosion=dict(void='ignore')),
    test_cfg=dict(mode='halves'))
load_from = 'work_dirs/lrr32x_vgg16_cityscapes/epoch_65.pth'
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler'))
