"""LRR-4x, masked, with DE, ConvNeXt-T, PASCAL VOC 2012 (VOC12aug), the toolbox's recipe.

Reproduces: nothing of the paper. To set beside the ResNets on the same images, crops and number of
iterations. AdamW at the toolbox's rate, weight decay and warm-up of this backbone, but one rate
for all of it (the toolbox lowers it from stage to stage), weight decay of its biases, float32
unless ``--amp`` (the toolbox uses mixed precision), and rates of the head that are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_convnext-t_voc12aug_20k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Test: ``python tools/test.py configs/lrr/lrr4x_convnext-t_voc12aug_20k-512x512.py
work_dirs/lrr4x_convnext-t_voc12aug_20k-512x512/iter_20000.pth`` gives every level, ``--aug-test``
ms, ``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_convnext-t.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_20k.py'
]
custom_imports = dict(imports=['mmseg_lrr', 'mmpretrain.models'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}))
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
