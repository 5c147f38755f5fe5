"""FCN-32s, VGG-16, PASCAL VOC without scale augmentation.

Reproduces the poster's FCN-32s: 59.4 % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/fcn32s_vgg16_voc-1scale.py``.
Cost: 734k images (65 epochs, batch 20) at 664 GFLOP each, 134 M weights; about 10.3 GB and 6.8
hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/fcn8s_vgg16.py', './_base_/datasets/pascal_voc_1scale.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3]))
# No class bases are needed.
custom_hooks = [dict(type='ResetMomentumHook')]
