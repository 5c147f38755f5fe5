"""Stage 2 from the ImageNet weights that the authors start from.

Reproduces what ``lrr4x_vgg16_voc.py`` does, closer to the authors.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_voc_authors-start.py`` after
``lrr32x_vgg16_voc_authors-start.py``.
Cost: 181k images (16 epochs, batch 20) at 551 GFLOP each, 205 M weights; about 8.6 GB and 1.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = './lrr4x_vgg16_voc.py'
model = dict(
    data_preprocessor=dict(mean=[123.68, 116.779, 103.939], std=[1.0, 1.0, 1.0]))
load_from = 'work_dirs/lrr32x_vgg16_voc_authors-start/epoch_65.pth'
