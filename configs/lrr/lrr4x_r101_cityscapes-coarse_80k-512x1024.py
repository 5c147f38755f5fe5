"""LRR-4x, masked, with DE, ResNet-101, Cityscapes, fine and coarse labels, the toolbox's recipe.

Reproduces: LRR on Cityscapes with ResNet-101 and coarse annotations, of which the poster gives no
number (no ResNet code is released).
Command: ``python tools/train.py configs/lrr/lrr4x_r101_cityscapes-coarse_80k-512x1024.py`` on 4
GPUs (``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Test: ``python tools/test.py configs/lrr/lrr4x_r101_cityscapes-coarse_80k-512x1024.py
work_dirs/lrr4x_r101_cityscapes-coarse_80k-512x1024/iter_80000.pth`` gives every level,
``--aug-test`` ms, ``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/cityscapes_coarse.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    pretrained='open-mmlab://resnet101_v1c',
    backbone=dict(depth=101),
    decode_head=dict(num_classes=19))
