"""Stage 1 from the ImageNet weights that the authors start from.

Reproduces what ``lrr32x_vgg16_voc.py`` does, closer to the authors.
Command: ``python tools/model_converters/matconvnet2mmseg.py imagenet-vgg-verydeep-16.mat
checkpoints/imagenet_vgg_verydeep_16.pth``, then ``python tools/train.py
configs/lrr/lrr32x_vgg16_voc_authors-start.py``.
Cost: 734k images (65 epochs, batch 20) at 429 GFLOP each, 199 M weights; about 7.0 GB and 4.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = './lrr32x_vgg16_voc.py'
model = dict(
    # RGB minus the ImageNet network's mean (the authors' for VOC is not known), divided by nothing.
    data_preprocessor=dict(mean=[123.68, 116.779, 103.939], std=[1.0, 1.0, 1.0]),
    backbone=dict(init_cfg=dict(checkpoint='checkpoints/imagenet_vgg_verydeep_16.pth')))
