"""LRR's levels 16x, 8x and 4x on a frozen UPerNet R50, Cityscapes, fine annotations.

Reproduces nothing, and has not been trained here. What is refined has 78.19 % mIoU in mmseg's own
table (``upernet_r50_4xb2-80k_cityscapes-512x1024``).
Command: ``python tools/train.py configs/lrr/lrr-refine_upernet_r50_cityscapes_20k-512x1024.py`` on
4 GPUs (``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=8``. mmseg's
checkpoint is downloaded.
Cost: 160k images (20k iterations of 4 x 2) at 960 GFLOP each, 64 M weights; about 1.4 GB per GPU
and 2.1 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr-refine_upernet_r50.py', './_base_/datasets/cityscapes.py',
    './_base_/default_runtime.py', './_base_/schedules/sgd_20k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
load_from = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/upernet/'
    'upernet_r50_512x1024_80k_cityscapes/'
    'upernet_r50_512x1024_80k_cityscapes_20200607_052207-848beca8.pth')
