"""LRR-32x without DE, VGG-16, PASCAL VOC.

Reproduces the poster's LRR-32x on scale-augmented VOC: 66.8 % mIoU on VOC 2011 val. The networks
without DE start from it.
Command: ``python tools/train.py configs/lrr/lrr32x-unmasked_vgg16_voc.py``.
Cost: 734k images (65 epochs, batch 20) at 392 GFLOP each, 156 M weights; about 6.5 GB and 4.0 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        in_channels=[4096], in_index=[3], boundary_mask=None, dilation_erosion=None))
