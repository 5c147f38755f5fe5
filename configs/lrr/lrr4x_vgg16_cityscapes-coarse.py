"""LRR-4x, masked, with DE, VGG-16, Cityscapes, fine and coarse annotations: stage 2.

Reproduces the authors' 71.8 % mIoU on the Cityscapes test server. Crops, rates and epochs are ours;
masks and testing in two halves theirs.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_cityscapes-coarse.py`` after
``lrr32x_vgg16_cityscapes-coarse.py``.
Cost: 69k images (3 epochs, batch 4) at 1898 GFLOP each, 199 M weights; about 6.7 GB and 1.8 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes_coarse.py',
    './_base_/schedules/vgg16_stage2_3e.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(
        num_classes=19, boundary_mask=dict(window=17),
        loss_dilation_erosion=dict(void='ignore')),
    test_cfg=dict(mode='halves'))
load_from = 'work_dirs/lrr32x_vgg16_cityscapes-coarse/epoch_13.pth'
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler'))
