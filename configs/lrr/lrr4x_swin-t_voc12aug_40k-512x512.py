"""LRR-4x, masked, with DE, Swin-T, PASCAL VOC 2012 (VOC12aug), mmseg's recipe.

Reproduces nothing of the paper. To set beside the ResNets on the same images, crops and iterations;
the optimiser is mmseg's for this backbone, the head's rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_swin-t_voc12aug_40k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 640k images (40k iterations of 4 x 4) at 158 GFLOP each, 28 M weights; about 3.5 GB per GPU
and 1.4 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_swin-t.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_40k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
