"""Stage 2 on VOC + COCO or coarse Cityscapes, about ten times the images: 3 epochs (ours)."""
_base_ = './vgg16_stage2.py'
train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
