"""LRR-4x, masked, with DE, ResNet-101, PASCAL VOC: the flagship.

Reproduces the poster's ResNet network on VOC alone, of which it gives no number
(``lrr4x_r101_coco-voc.py`` has one), on the authors' images under mmseg's recipe. No ResNet code is
released: schedule and rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_voc.py`` on 4 GPUs (``--launcher``), or on
one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 640k images (40k iterations of 4 x 4) at 264 GFLOP each, 44 M weights; about 3.9 GB per GPU
and 2.3 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/pascal_voc_512x512.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_40k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
