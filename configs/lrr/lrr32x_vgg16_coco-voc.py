"""LRR-32x with DE, VGG-16, VOC + COCO: stage 1.

Reproduces: the start of ``lrr4x_vgg16_coco-voc.py`` (the authors' epochs on VOC + COCO are not
known).
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_coco-voc.py``.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/coco_voc.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3], boundary_mask=None))

# VOC and COCO are ten times as many images: 13 epochs are twice VOC's iterations (ours).
param_scheduler = [dict(type='MultiStepLR', milestones=[10, 12], gamma=0.5, by_epoch=True)]
train_cfg = dict(max_epochs=13, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
