"""LRR-4x, masked, with DE, ResNet-18, CamVid: stage 2 of the two-stage recipe in small.

Reproduces nothing of the paper; shows the two stages on real data on a small machine.
Command: ``python tools/train.py configs/lrr/lrr4x_r18_camvid_stage2.py`` after
``lrr32x_r18_camvid.py``.
Cost: 32k images (4k iterations of 8) at 23 GFLOP each, 11 M weights; about 0.8 GB and a minute of a
GPU at 20 TFLOP/s (estimated), hours of a CPU.
"""
_base_ = './lrr4x_r18_camvid.py'
model = dict(decode_head=dict(boundary_mask=dict(soft_start=0)))
load_from = 'work_dirs/lrr32x_r18_camvid/iter_4000.pth'
