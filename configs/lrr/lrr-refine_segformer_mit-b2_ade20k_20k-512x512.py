"""LRR's levels 16x, 8x and 4x on a frozen SegFormer (MiT-B2), ADE20K.

Reproduces nothing, and has not been trained here. What is refined has 45.58 % mIoU in mmseg's own
table (``segformer_mit-b2_8xb2-160k_ade20k-512x512``).
Command: ``python tools/train.py configs/lrr/lrr-refine_segformer_mit-b2_ade20k_20k-512x512.py`` on
4 GPUs (``--launcher``), or on one with ``--cfg-options train_dataloader.batch_size=16``. mmseg's
checkpoint is downloaded.
Cost: 320k images (20k iterations of 4 x 4) at 71 GFLOP each, 26 M weights; about 4.2 GB per GPU and
0.3 hours of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr-refine_segformer_mit-b2.py', './_base_/datasets/ade20k.py',
    './_base_/default_runtime.py', './_base_/schedules/adamw_20k.py'
]
model = dict(data_preprocessor=dict(size={{_base_.crop_size}}))
load_from = (
    'https://download.openmmlab.com/mmsegmentation/v0.5/segformer/'
    'segformer_mit-b2_512x512_160k_ade20k/'
    'segformer_mit-b2_512x512_160k_ade20k_20210726_112103-cbd414ac.pth')
