"""LRR-4x, masked, with DE, ResNet-50, Cityscapes, fine annotations, the toolbox's recipe.

Reproduces: nothing of the paper. To set beside the toolbox's
``deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py``, trained on the same images with the same
crops and schedule, behind a warm-up.
Command: ``python tools/train.py configs/lrr/lrr4x_r50_cityscapes_80k-512x1024.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Test: ``python tools/test.py configs/lrr/lrr4x_r50_cityscapes_80k-512x1024.py
work_dirs/lrr4x_r50_cityscapes_80k-512x1024/iter_80000.pth`` gives every level, ``--aug-test`` ms,
``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/cityscapes.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=19))
