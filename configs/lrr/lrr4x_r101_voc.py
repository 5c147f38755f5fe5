"""LRR-4x, masked, with DE, ResNet-101, PASCAL VOC: the flagship.

Reproduces: the poster's ResNet network on VOC alone. (The poster's ResNet column, 78.4 % mIoU, 79.2
ms, 79.9 ms-crf on VOC 2011 val, was trained on VOC and COCO; no ResNet code is released, so
schedule and rates are ours.)
Command: ``python tools/train.py configs/lrr/lrr4x_r101_voc.py``
Cost: not measured; needs a GPU.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/pascal_voc.py',
    './_base_/default_runtime.py', './_base_/schedules/r_20k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101))
