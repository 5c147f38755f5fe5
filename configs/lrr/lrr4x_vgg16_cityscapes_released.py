"""LRR-4x, masked, with DE, VGG-16: the network that the authors trained on Cityscapes and released.

Reproduces the authors' 71.8 % mIoU on the Cityscapes test server (fine and coarse annotations, one
scale, two halves that overlap). Not measured here: the weights are the authors' to give.
Command: ``python tools/model_converters/matconvnet2mmseg.py MODEL.mat MODEL.pth --window 17``,
which also writes ``MODEL.py``, this config with the file's own mean; then ``python tools/test.py
MODEL.py MODEL.pth``; ``--aug-test`` is ours.
Cost: no training; the settings of further training are ours.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes.py',
    './_base_/schedules/vgg16_stage2.py'
]
model = dict(
    data_preprocessor=dict(
        size={{_base_.crop_size}},
        # RGB, divided by nothing; from a public port of the authors' network.
        mean=[73.17, 82.92, 72.41],
        std=[1.0, 1.0, 1.0]),
    backbone=dict(init_cfg=None),
    decode_head=dict(
        num_classes=19, boundary_mask=dict(window=17), upsample_border='zeros',
        loss_dilation_erosion=dict(void='ignore')),
    test_cfg=dict(mode='halves'))
train_dataloader = dict(sampler=dict(type='DefaultSampler'))
