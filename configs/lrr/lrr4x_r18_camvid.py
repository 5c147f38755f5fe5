"""LRR-4x, masked, with DE, ResNet-18 from scratch, CamVid: real data on a small machine.

Reproduces nothing of the paper, which has no CamVid. 160 iterations of 8 images of half the size
ended at 34.8 % mIoU without DE (docs/results.md, "Filters, rates and masks").
Command: ``python tools/train.py configs/lrr/lrr4x_r18_camvid.py``, with the data in
``data/camvid``.
Cost: 32k images (4k iterations of 8) at 23 GFLOP each, 11 M weights; about 0.8 GB and a minute of a
GPU at 20 TFLOP/s (estimated), hours of a CPU.
"""
_base_ = [
    './_base_/models/lrr4x_r18.py', './_base_/datasets/camvid.py', './_base_/default_runtime.py',
    './_base_/schedules/adamw_r18.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(num_classes=11, loss_dilation_erosion=dict(void='ignore')))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=100, end=4000, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
