"""LRR-4x, masked, with DE, ResNet-101, VOC + COCO.

Reproduces: the poster's ResNet column: 76.7 (32x), 78.0 (16x), 78.3 (8x), 78.4 (4x), 79.2 (ms),
79.9 (ms-crf) % mIoU on VOC 2011 val. (No ResNet code is released, so schedule and rates are ours.)
Command: ``python tools/train.py configs/lrr/lrr4x_r101_coco-voc.py``.
Test: ``python tools/test.py configs/lrr/lrr4x_r101_coco-voc.py
work_dirs/lrr4x_r101_coco-voc/iter_80000.pth`` gives every level, ``--aug-test`` ms, ``--aug-test
--crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/coco_voc.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    # 128 is the grey around the authors' training images.
    data_preprocessor=dict(
        type='LRRDataPreProcessor', size={{_base_.crop_size}}, raw_pad_value=128),
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
