"""Stage 2 from the ImageNet weights that the authors start from: RGB minus a mean, no division.

Reproduces: what ``lrr4x_vgg16_voc.py`` does, closer to the authors.
Command: ``python tools/train.py configs/lrr/lrr4x_vgg16_voc_authors-start.py`` after
``lrr32x_vgg16_voc_authors-start.py``.
Cost: see configs/lrr/README.md.
"""
_base_ = ['./lrr4x_vgg16_voc.py', './_base_/models/vgg16_authors_start.py']
model = dict(
    data_preprocessor=dict(mean={{_base_.authors_mean}}, std={{_base_.authors_std}}))
load_from = 'work_dirs/lrr32x_vgg16_voc_authors-start/epoch_65.pth'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='KeepOriginalImage'),
    dict(type='ResizeToCanvas', scale=1.0, pad_value={{_base_.authors_pad_value}}),
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
                dict(type='ResizeToCanvas', scale=0.6, pad_value={{_base_.authors_pad_value}}),
                dict(type='ResizeToCanvas', scale=0.8, pad_value={{_base_.authors_pad_value}}),
                dict(type='ResizeToCanvas', scale=1.0, pad_value={{_base_.authors_pad_value}})
            ],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ])
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
