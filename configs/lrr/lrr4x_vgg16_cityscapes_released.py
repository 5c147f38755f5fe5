"""LRR-4x, masked, with DE, VGG-16: the network that the authors trained on Cityscapes and released.

Reproduces: the authors' 71.8 % mIoU on the Cityscapes test server (fine and coarse annotations,
single scale). Not measured here: the weights are to be had from the authors only.
Command, with their file: ``python tools/model_converters/matconvnet2mmseg.py MODEL.mat MODEL.pth
--window 17 --config configs/lrr/lrr4x_vgg16_cityscapes_released.py``, then ``python tools/test.py
configs/lrr/lrr4x_vgg16_cityscapes_released.py MODEL.pth``.

The network takes RGB minus a mean colour, divided by nothing, sees zeros outside a map where it
upsamples, and has masks of 17x17. An image is tested in two halves that overlap. (Multi-scale
testing, at scales whose widths the halves can share, is ours, and so are the training settings.)
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/cityscapes.py',
    './_base_/schedules/vgg16_stage2.py'
]
# RGB, from a public port of the authors' network.
mean = [73.17, 82.92, 72.41]
# BGR, as images are loaded: zero after the subtraction.
pad_value = [mean[2], mean[1], mean[0]]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}, mean=mean, std=[1.0, 1.0, 1.0]),
    backbone=dict(init_cfg=None),
    decode_head=dict(
        num_classes=19, boundary_mask=dict(window=17), upsample_border='zeros'),
    test_cfg=dict(mode='halves'))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='KeepOriginalImage'),
    dict(type='ResizeToCanvas', scale=1.0, pad_value=pad_value),
    dict(type='LoadAnnotationsIfAny'),
    dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})
]
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='KeepOriginalImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0., direction='horizontal')],
            [
                dict(type='ResizeToCanvas', scale=0.75, pad_value=pad_value),
                dict(type='ResizeToCanvas', scale=1.0, pad_value=pad_value),
                dict(type='ResizeToCanvas', scale=1.25, pad_value=pad_value)
            ],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ])
]
train_dataloader = dict(sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
