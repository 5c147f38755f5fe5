"""LRR-4x, masked, with DE, ResNet-101, PASCAL VOC: the flagship.

Reproduces the poster's ResNet network on VOC alone, of which it gives no number
(``lrr4x_r101_coco-voc.py`` has one). No ResNet code is released: schedule and rates are ours.
Command: ``python tools/train.py configs/lrr/lrr4x_r101_voc.py``.
Cost: 160k images (20k iterations of 8) at 300 GFLOP each, 84 M weights; about 4.8 GB and 0.7 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_r101.py', './_base_/datasets/pascal_voc.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_20k.py'
]
model = dict(
    # 128 is the grey around the authors' training images.
    data_preprocessor=dict(size={{_base_.crop_size}}, raw_pad_value=128))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
