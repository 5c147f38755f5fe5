"""LRR-4x, masked, with DE, ResNet-50, ADE20K, mmseg's recipe.

Reproduces nothing of the paper. To set beside mmseg's 80k configs of other heads on ADE20K: the
same images, crops and schedule behind a warm-up.
Command: ``python tools/train.py configs/lrr/lrr4x_r50_ade20k_80k-512x512.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 1280k images (80k iterations of 4 x 4) at 224 GFLOP each, 35 M weights; about 6.3 GB per GPU
and 4.0 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r50.py', './_base_/datasets/ade20k.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=150, loss_dilation_erosion=dict(void='ignore')))
