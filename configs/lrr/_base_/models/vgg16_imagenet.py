"""VGG-16 from mmpretrain's ImageNet weights, which want a mean and a standard deviation.

``raw_pad_value`` is the grey around the authors' training images.
"""
data_preprocessor = dict(
    type='LRRDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    raw_pad_value=128)
model = dict(
    type='LRREncoderDecoder',
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        type='VGG16FC',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/'
            'vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone.')),
    train_cfg=dict())
# The CRF of the row "ms-crf": tools/test.py --aug-test --crf
crf = dict(type='DenseCRF', preset='deeplab_v2_vgg16')
