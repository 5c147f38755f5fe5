"""FCN-16s, VGG-16, PASCAL VOC without scale augmentation, from FCN-32s.

Reproduces the poster's FCN-16s: 62.4 % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/fcn16s_vgg16_voc-1scale.py`` after
``fcn32s_vgg16_voc-1scale.py``.
Cost: 181k images (16 epochs, batch 20) at 664 GFLOP each, 134 M weights; about 10.4 GB and 1.7
hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/fcn8s_vgg16.py', './_base_/datasets/pascal_voc_1scale.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # The earlier stage's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(in_channels=[512, 4096], in_index=[1, 3]))
load_from = 'work_dirs/fcn32s_vgg16_voc-1scale/epoch_65.pth'
# No class bases are needed.
custom_hooks = [dict(type='ResetMomentumHook')]
