"""LRR-4x, masked, with DE, ResNet-101, Cityscapes, fine and coarse labels, mmseg's recipe.

Reproduces LRR on Cityscapes with ResNet-101 and coarse annotations, of which the poster gives no
number (no ResNet code is released).
Command: ``python tools/train.py configs/lrr/lrr4x_r101_cityscapes-coarse_80k-512x1024.py`` on 4
GPUs (``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Cost: 640k images (80k iterations of 4 x 2) at 526 GFLOP each, 44 M weights; about 3.8 GB per GPU
and 4.7 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/cityscapes_coarse.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=19, loss_dilation_erosion=dict(void='ignore')))
