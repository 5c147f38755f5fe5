"""LRR-4x, masked, with DE, ConvNeXt-T, PASCAL VOC 2012 (VOC12aug), mmseg's recipe.

Reproduces nothing of the paper. To set beside the ResNets on the same images, crops and iterations;
the optimiser is near mmseg's for this backbone, the head's rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_convnext-t_voc12aug_40k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 640k images (40k iterations of 4 x 4) at 410 GFLOP each, 28 M weights; about 3.3 GB per GPU
and 3.6 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_convnext-t.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_40k.py'
]
custom_imports = dict(imports=['mmseg_lrr', 'mmpretrain.models'], allow_failed_imports=False)
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
# mmseg's, but one rate for all stages, decay of biases, float32 (README.md, "Beyond the poster").
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
