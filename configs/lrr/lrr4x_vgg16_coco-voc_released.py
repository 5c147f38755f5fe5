"""LRR-4x, masked, with DE, VGG-16: the network that the authors trained on VOC + COCO and released.

Reproduces: the poster's VOC+COCO column "masked+DE" of VGG-16: 72.9 (32x), 73.9 (16x), 74.9 (8x),
75.1 (4x), 76.6 (ms), 77.5 (ms-crf) % mIoU on VOC 2011 val (FCN's 736 images). Not measured here:
the weights are to be had from the authors only.
Command, with their file: ``python tools/model_converters/matconvnet2mmseg.py MODEL.mat MODEL.pth
--config configs/lrr/lrr4x_vgg16_coco-voc_released.py``, then ``python tools/test.py
configs/lrr/lrr4x_vgg16_coco-voc_released.py MODEL.pth`` and the same with ``--aug-test`` (ms).

The network takes RGB minus a mean colour, divided by nothing, sees zeros outside a map where it
upsamples, and knows sizes that are multiples of 32 only (the canvas). Further training from the
weights is at the authors' stage-2 rates.
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage2.py'
]
# RGB. The network's own mean is not published; it stands in the authors' file, and the converter
# prints it: write it here. Until then this is the mean of VOC 2012's training images as public
# lists of data set statistics have it: (0.4570, 0.4382, 0.4062) of 255.
mean = [116.54, 111.74, 103.58]
# BGR, as images are loaded: zero after the subtraction.
pad_value = [mean[2], mean[1], mean[0]]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}, mean=mean, std=[1.0, 1.0, 1.0]),
    backbone=dict(init_cfg=None),
    decode_head=dict(boundary_mask=dict(window=9), upsample_border='zeros'))
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
                dict(type='ResizeToCanvas', scale=0.6, pad_value=pad_value),
                dict(type='ResizeToCanvas', scale=0.8, pad_value=pad_value),
                dict(type='ResizeToCanvas', scale=1.0, pad_value=pad_value)
            ],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ])
]
train_dataloader = dict(
    batch_size=20, sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    dataset=dict(ann_file='ImageSets/Segmentation/seg11valid.txt', pipeline=test_pipeline))
test_dataloader = val_dataloader
