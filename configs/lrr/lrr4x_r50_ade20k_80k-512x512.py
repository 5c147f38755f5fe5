"""LRR-4x, masked, with DE, ResNet-50, ADE20K, the toolbox's recipe.

Reproduces: nothing of the paper. To set beside the toolbox's 80k configs of other heads on ADE20K.
Command: ``python tools/train.py configs/lrr/lrr4x_r50_ade20k_80k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Test: ``python tools/test.py configs/lrr/lrr4x_r50_ade20k_80k-512x512.py
work_dirs/lrr4x_r50_ade20k_80k-512x512/iter_80000.pth`` gives every level, ``--aug-test`` ms,
``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/ade20k.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=150))
