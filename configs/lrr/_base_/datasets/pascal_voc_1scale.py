"""The authors' split of PASCAL VOC without scale augmentation: the poster's "training on VOC".

Images keep their size and are centred on a square of at most 512x512, which holds every VOC image
whole (the crop is ours).
"""
_base_ = './pascal_voc.py'
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=21),
    dict(type='RatioAugmentation', ratio_range=(1.0, 1.0), canvas=512),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
