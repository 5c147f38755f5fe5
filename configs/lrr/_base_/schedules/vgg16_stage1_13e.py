"""Stage 1 on VOC + COCO or coarse Cityscapes, about ten times the images: 13 epochs (ours)."""
_base_ = './vgg16_stage1.py'
param_scheduler = [dict(type='MultiStepLR', milestones=[10, 12], gamma=0.5, by_epoch=True)]
train_cfg = dict(max_epochs=13, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
