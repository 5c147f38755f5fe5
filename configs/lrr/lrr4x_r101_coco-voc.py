"""LRR-4x, masked, with DE, ResNet-101, VOC + COCO, finished on VOC alone at a tenth of the rate.

Reproduces the poster's ResNet row: 76.7 (32x), 78.0 (16x), 78.3 (8x), 78.4 (4x), 79.2 (ms), 79.9
(ms-crf) % mIoU on VOC 2011 val. No ResNet code is released: schedule and rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_coco-voc.py`` after
``lrr4x_r101_coco-voc_stage1.py``, on 4 GPUs (``--launcher``), or on one with ``--cfg-options
train_dataloader.batch_size=16``.
Cost: 320k images (20k iterations of 4 x 4) at 264 GFLOP each, 44 M weights; about 3.9 GB per GPU
and 1.2 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/pascal_voc_512x512.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_20k.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}), pretrained=None,
    decode_head=dict(boundary_mask=dict(soft_start=0)))
optim_wrapper = dict(optimizer=dict(lr=0.001))
load_from = 'work_dirs/lrr4x_r101_coco-voc_stage1/iter_80000.pth'
