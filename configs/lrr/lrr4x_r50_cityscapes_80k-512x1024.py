"""LRR-4x, masked, with DE, ResNet-50, Cityscapes, fine annotations, mmseg's recipe.

Reproduces nothing: to set beside ``deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py`` of mmseg,
the same images, crops and schedule behind a warm-up.
Command: ``python tools/train.py configs/lrr/lrr4x_r50_cityscapes_80k-512x1024.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Cost: 640k images (80k iterations of 4 x 2) at 294 GFLOP each, 25 M weights; about 2.7 GB per GPU
and 2.6 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/cityscapes.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=19, loss_dilation_erosion=dict(void='ignore')))
