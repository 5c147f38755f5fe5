"""The ImageNet weights that the authors start from: RGB minus a mean, no division.

Variables for a config that takes them. The weights come from ``imagenet-vgg-verydeep-16.mat``:
``python tools/model_converters/matconvnet2mmseg.py imagenet-vgg-verydeep-16.mat
checkpoints/imagenet_vgg_verydeep_16.pth``. The mean is that network's own; the authors subtract
their training images' mean colour, which they do not give for VOC.
"""
authors_mean = [123.68, 116.779, 103.939]
authors_std = [1.0, 1.0, 1.0]
authors_weights = dict(
    type='Pretrained', checkpoint='checkpoints/imagenet_vgg_verydeep_16.pth', prefix='backbone.')
# BGR, as images are loaded: zero after the subtraction.
authors_pad_value = [103.939, 116.779, 123.68]
