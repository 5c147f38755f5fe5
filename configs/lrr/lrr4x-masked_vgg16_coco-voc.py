"""LRR-4x, masked, without DE, VGG-16, VOC + COCO: stage 2.

Reproduces: the poster's VOC+COCO column "masked" of VGG-16: 71.2 (32x), 72.4 (16x), 73.4 (8x), 73.6
(4x), 75.0 (ms), 76.1 (ms-crf) % mIoU on VOC 2011 val (the authors' epochs on VOC + COCO are not
known).
Command: ``python tools/train.py configs/lrr/lrr4x-masked_vgg16_coco-voc.py`` after stage 1
(``lrr32x-unmasked_vgg16_coco-voc.py``), whose last checkpoint ``load_from`` names; the new levels
start at zero.
Test: ``python tools/test.py configs/lrr/lrr4x-masked_vgg16_coco-voc.py
work_dirs/lrr4x-masked_vgg16_coco-voc/epoch_3.pth`` gives every level, ``--aug-test`` ms,
``--aug-test --crf`` ms-crf.
Cost: see configs/lrr/README.md.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/coco_voc.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    # Stage 1's checkpoint brings all of the backbone.
    backbone=dict(init_cfg=None),
    decode_head=dict(dilation_erosion=None))
load_from = 'work_dirs/lrr32x-unmasked_vgg16_coco-voc/epoch_13.pth'

train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
