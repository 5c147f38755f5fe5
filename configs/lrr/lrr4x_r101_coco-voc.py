"""LRR-4x, masked, with DE, ResNet-101, VOC + COCO.

Reproduces the poster's ResNet row: 76.7 (32x), 78.0 (16x), 78.3 (8x), 78.4 (4x), 79.2 (ms), 79.9
(ms-crf) % mIoU on VOC 2011 val. No ResNet code is released: schedule and rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_coco-voc.py``.
Cost: 640k images (80k iterations of 8) at 300 GFLOP each, 84 M weights; about 4.8 GB and 2.7 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/coco_voc.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_80k.py'
]
model = dict(
    # 128 is the grey around the authors' training images.
    data_preprocessor=dict(size={{_base_.crop_size}}, raw_pad_value=128))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
