"""LRR-4x, masked, with DE, ResNet-101, VOC + COCO: the first stage of ``lrr4x_r101_coco-voc.py``.

Reproduces nothing by itself. No ResNet code is released: schedule and rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_coco-voc_stage1.py`` on 4 GPUs
(``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``.
Cost: 1280k images (80k iterations of 4 x 4) at 264 GFLOP each, 44 M weights; about 3.9 GB per GPU
and 4.7 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/coco_voc_512x512.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
