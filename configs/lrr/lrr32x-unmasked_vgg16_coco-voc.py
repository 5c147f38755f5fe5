"""LRR-32x without DE, VGG-16, VOC + COCO: stage 1.

Reproduces the start of the VOC + COCO networks without DE. The epochs are ours: the authors' are
not known.
Command: ``python tools/train.py configs/lrr/lrr32x-unmasked_vgg16_coco-voc.py``.
Cost: 1408k images (13 epochs, batch 20) at 392 GFLOP each, 156 M weights; about 6.5 GB and 7.7
hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/coco_voc.py',
    './_base_/schedules/vgg16_stage1_13e.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        in_channels=[4096], in_index=[3], boundary_mask=None, dilation_erosion=None))
