"""PASCAL VOC as the authors trained and tested on it (docs/method.md, "Training").

``SegmentationClassAug`` and the lists are made by ``tools/prepare_data.py voc``: 11,295
training images of VOC and SBD, FCN's 736 validation images. Each image draws a scale of its own
and is centred on a square of at most 384x384; the data preprocessor brings a batch to one size.
"""
_base_ = './lrr_testing.py'
dataset_type = 'PascalVOCDataset'
data_root = 'data/VOCdevkit/VOC2012'
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')
crop_size = (384, 384)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=21),
    dict(type='ScaleAugmentation'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=20,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/lrr_train.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        ann_file='ImageSets/Segmentation/seg11valid.txt',
        pipeline={{_base_.test_pipeline}}))
test_dataloader = val_dataloader
