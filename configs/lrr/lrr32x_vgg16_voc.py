"""LRR-32x with DE, VGG-16, PASCAL VOC: stage 1 of the authors' recipe.

Reproduces: the start of ``lrr4x_vgg16_voc.py``; the poster's LRR-32x, trained without DE, has 66.8
% mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_voc.py``. On small GPUs: ``--cfg-options
train_dataloader.batch_size=5 optim_wrapper.accumulative_counts=4``.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3], boundary_mask=None))
