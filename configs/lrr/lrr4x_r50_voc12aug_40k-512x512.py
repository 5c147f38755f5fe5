"""LRR-4x, masked, with DE, ResNet-50, PASCAL VOC 2012 (VOC12aug), mmseg's recipe.

Reproduces nothing: to set beside ``deeplabv3plus_r50-d8_4xb4-40k_voc12aug-512x512.py`` of mmseg,
the same images, crops and schedule behind a warm-up.
Command: ``python tools/train.py configs/lrr/lrr4x_r50_voc12aug_40k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 640k images (40k iterations of 4 x 4) at 148 GFLOP each, 25 M weights; about 2.8 GB per GPU
and 1.3 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_40k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
