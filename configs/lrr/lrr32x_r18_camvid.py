"""LRR-32x with DE, ResNet-18 from scratch, CamVid: stage 1 of the two-stage recipe in small.

Reproduces nothing of the paper; shows the two stages on real data on a small machine.
Command: ``python tools/train.py configs/lrr/lrr32x_r18_camvid.py``.
Cost: 32k images (4k iterations of 8) at 22 GFLOP each, 11 M weights; about 0.5 GB and a minute of a
GPU at 20 TFLOP/s (estimated), hours of a CPU.
"""
_base_ = './lrr4x_r18_camvid.py'
model = dict(decode_head=dict(in_channels=[512], in_index=[3], boundary_mask=None))
