"""LRR-4x, masked, with DE, ResNet-18, CamVid: stage 2 of the two-stage recipe in small.

Reproduces: nothing of the paper; shows the two stages on real data on a small machine.
Command: ``python tools/train.py configs/lrr/lrr4x_r18_camvid_stage2.py`` after stage 1
(``lrr32x_r18_camvid.py``), whose last checkpoint ``load_from`` names; the new levels start at zero.
Cost: see configs/lrr/README.md.
"""
_base_ = './lrr4x_r18_camvid.py'
load_from = 'work_dirs/lrr32x_r18_camvid/iter_4000.pth'
