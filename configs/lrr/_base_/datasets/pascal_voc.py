"""PASCAL VOC as the authors trained and tested on it (spec section 4).

``SegmentationClassAug`` and the lists are made by ``tools/prepare_data.py voc``: 11,295
training images of VOC and SBD, FCN's 736 validation images. Each image draws a scale of its own
and is centred on a square of at most 384x384; the data preprocessor brings a batch to one size.
Test images are resized onto a canvas of multiples of 32 (``ResizeToCanvas``), around which the
network sees zeros: ``pad_value`` is the mean of the data preprocessor in BGR order.
"""
dataset_type = 'PascalVOCDataset'
data_root = 'data/VOCdevkit/VOC2012'
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')
crop_size = (384, 384)
pad_value = [103.53, 116.28, 123.675]
meta_keys = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
             'padding_size', 'flip', 'flip_direction', 'reduce_zero_label', 'ori_img')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=21),
    dict(type='ScaleAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='KeepOriginalImage'),
    dict(type='ResizeToCanvas', scale=1.0, pad_value=pad_value),
    dict(type='LoadAnnotationsIfAny'),
    dict(type='PackSegInputs', meta_keys=meta_keys)
]
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='KeepOriginalImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0., direction='horizontal')],
            [
                dict(type='ResizeToCanvas', scale=scale, pad_value=pad_value)
                for scale in (0.6, 0.8, 1.0)
            ],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ])
]
train_dataloader = dict(
    batch_size=20,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/lrr_train.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/seg11valid.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='LRRIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
