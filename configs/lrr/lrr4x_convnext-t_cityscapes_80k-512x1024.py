"""LRR-4x, masked, with DE, ConvNeXt-T, Cityscapes, fine annotations, the toolbox's recipe.

Reproduces: nothing of the paper. To set beside the ResNets on the same images, crops and number of
iterations. AdamW at the toolbox's rate, weight decay and warm-up of this backbone, but one rate
for all of it (the toolbox lowers it from stage to stage), weight decay of its biases, float32
unless ``--amp`` (the toolbox uses mixed precision), and rates of the head that are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_convnext-t_cityscapes_80k-512x1024.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Test: ``python tools/test.py configs/lrr/lrr4x_convnext-t_cityscapes_80k-512x1024.py
work_dirs/lrr4x_convnext-t_cityscapes_80k-512x1024/iter_80000.pth`` gives every level,
``--aug-test`` ms, ``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_convnext-t.py', './_base_/datasets/cityscapes.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_80k.py'
]
custom_imports = dict(imports=['mmseg_lrr', 'mmpretrain.models'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=19))
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
