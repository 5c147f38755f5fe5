"""LRR's levels 8x and 4x on a frozen DeepLabV3+ R101-D8, PASCAL VOC 2012 (VOC12aug).

Reproduces nothing, and has not been trained here. What is refined has 78.62 % mIoU in mmseg's own
table (``deeplabv3plus_r101-d8_4xb4-40k_voc12aug-512x512``).
Command: ``python tools/train.py
configs/lrr/lrr-refine_deeplabv3plus_r101-d8_voc12aug_20k-512x512.py`` on 4 GPUs (``--launcher``),
or on one with ``--cfg-options train_dataloader.batch_size=16``. mmseg's checkpoint is downloaded.
Cost: 320k images (20k iterations of 4 x 4) at 514 GFLOP each, 60 M weights; about 1.3 GB per GPU
and 2.3 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr-refine_deeplabv3plus_r101-d8.py', './_base_/datasets/pascal_voc12aug.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_20k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
load_from = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3plus/'
    'deeplabv3plus_r101-d8_512x512_40k_voc12aug/'
    'deeplabv3plus_r101-d8_512x512_40k_voc12aug_20200613_205333-faf03387.pth')
