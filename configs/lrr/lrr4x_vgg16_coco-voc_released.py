"""LRR-4x, masked, with DE, VGG-16: the network that the authors trained on VOC + COCO and released.

Reproduces the poster's VOC+COCO row "masked+DE": 72.9 (32x), 73.9 (16x), 74.9 (8x), 75.1 (4x), 76.6
(ms), 77.5 (ms-crf) % mIoU on VOC 2011 val. Not measured here: the weights are the authors' to give.
Command: ``python tools/model_converters/matconvnet2mmseg.py MODEL.mat MODEL.pth``, which also
writes ``MODEL.py``, this config with the file's own mean; then ``python tools/test.py MODEL.py
MODEL.pth``, with ``--aug-test`` for ms.
Cost: no training; further training is set up as the authors' stage 2 (``lrr4x_vgg16_voc.py``).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(
        size={{_base_.crop_size}},
        # RGB, divided by nothing. The network's own mean stands in the authors' file alone; this
        # is that of VOC 2012's training images in public lists, (0.4570, 0.4382, 0.4062) of 255.
        mean=[116.54, 111.74, 103.58],
        std=[1.0, 1.0, 1.0]),
    backbone=dict(init_cfg=None),
    decode_head=dict(boundary_mask=dict(window=9), upsample_border='zeros'))
