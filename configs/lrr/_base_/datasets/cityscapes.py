"""Cityscapes, fine annotations, 2048x1024.

Crops and augmentation are mmseg's (the authors released no training code for Cityscapes). The label
maps are made by ``tools/prepare_data.py cityscapes``.
"""
_base_ = './lrr_testing.py'
dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes'
crop_size = (512, 1024)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=19),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
# Widths that the two halves can share: multiples of 512.
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='KeepOriginalImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0., direction='horizontal')],
            [dict(type='ResizeToCanvas', scale=scale) for scale in (0.75, 1.0, 1.25)],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ])
]
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline={{_base_.test_pipeline}}))
test_dataloader = val_dataloader
