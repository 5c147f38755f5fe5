"""The demo's data set, which ``tools/demo.py`` draws: 6 textured shapes, 128-160 px."""
dataset_type = 'BaseSegDataset'
metainfo = dict(
    classes=('background', 'disc', 'box', 'triangle', 'star', 'ring', 'tree'),
    palette=[[0, 0, 0], [225, 120, 185], [125, 85, 50], [0, 195, 195], [150, 90, 220],
             [150, 150, 150], [70, 170, 60]])
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
data_root = 'work_dirs/demo/shapes'
crop_size = (128, 128)
pad_value = [103.53, 116.28, 123.675]
meta_keys = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
             'padding_size', 'flip', 'flip_direction', 'reduce_zero_label', 'ori_img')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=7),
    dict(type='RandomCrop', crop_size=crop_size),
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
                # The authors' 0.6 and 0.8 would show objects smaller than any in training, which
                # is at one scale here; the mIoU falls with them.
                for scale in (1.0, 1.25)
            ],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ])
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        metainfo=metainfo,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='LRRIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
