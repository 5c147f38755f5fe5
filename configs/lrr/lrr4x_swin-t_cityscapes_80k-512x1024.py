"""LRR-4x, masked, with DE, Swin-T, Cityscapes, fine annotations, mmseg's recipe.

Reproduces nothing of the paper. To set beside the ResNets on the same images, crops and iterations;
the optimiser is mmseg's for this backbone, the head's rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_swin-t_cityscapes_80k-512x1024.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``.
Cost: 640k images (80k iterations of 4 x 2) at 310 GFLOP each, 28 M weights; about 3.4 GB per GPU
and 2.8 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_swin-t.py', './_base_/datasets/cityscapes.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_80k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=19, loss_dilation_erosion=dict(void='ignore')))
