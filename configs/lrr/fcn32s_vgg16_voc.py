"""FCN-32s, VGG-16, PASCAL VOC: the baseline under LRR's own training.

Reproduces nothing: the poster's FCN-32s (59.4 % mIoU on VOC 2011 val) saw no scale augmentation:
``fcn32s_vgg16_voc-1scale.py``.
Command: ``python tools/train.py configs/lrr/fcn32s_vgg16_voc.py``.
Cost: 734k images (65 epochs, batch 20) at 373 GFLOP each, 134 M weights; about 6.5 GB and 3.8 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/fcn8s_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3]))
# No class bases are needed.
custom_hooks = [dict(type='ResetMomentumHook')]
