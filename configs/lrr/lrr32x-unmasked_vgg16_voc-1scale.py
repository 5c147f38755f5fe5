"""LRR-32x without DE, VGG-16, PASCAL VOC without scale augmentation.

Reproduces the poster's LRR-32x under "training on VOC", beside FCN: 64.1 % mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr32x-unmasked_vgg16_voc-1scale.py``.
Cost: 734k images (65 epochs, batch 20) at 697 GFLOP each, 156 M weights; about 10.0 GB and 7.1
hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc_1scale.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        in_channels=[4096], in_index=[3], boundary_mask=None, dilation_erosion=None))
