"""LRR-4x, masked, with DE, ResNet-101, PASCAL VOC 2012 (VOC12aug), the toolbox's recipe.

Reproduces: nothing of the paper. To set beside the toolbox's
``deeplabv3plus_r101-d8_4xb4-40k_voc12aug-512x512.py``, trained on the same images with the same
crops and schedule, behind a warm-up.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_voc12aug_40k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Test: ``python tools/test.py configs/lrr/lrr4x_r101_voc12aug_40k-512x512.py
work_dirs/lrr4x_r101_voc12aug_40k-512x512/iter_40000.pth`` gives every level, ``--aug-test`` ms,
``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_40k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101))
