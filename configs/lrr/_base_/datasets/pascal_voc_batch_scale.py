"""The authors' split of PASCAL VOC for one scale per batch, as in the released code.

No transform sees the batch, so the images come at their own sizes and the data preprocessor scales
them: ``data_preprocessor=dict(size=None, size_divisor=32,
scale_augmentation=dict(type='ScaleAugmentation'))``.
"""
_base_ = './pascal_voc.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=21),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
