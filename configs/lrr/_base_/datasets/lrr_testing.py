"""How LRR is tested on every data set: at the full size, or at three sizes (``tta_pipeline``).

Images are centred on a canvas of multiples of 32, around which the network sees zeros.
"""
meta_keys = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
             'padding_size', 'flip', 'flip_direction', 'reduce_zero_label', 'ori_img')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='KeepOriginalImage'),
    dict(type='ResizeToCanvas', scale=1.0),
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
            [dict(type='ResizeToCanvas', scale=scale) for scale in (0.6, 0.8, 1.0)],
            [dict(type='LoadAnnotationsIfAny')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ])
]
train_dataloader = dict(num_workers=4, persistent_workers=True)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='LRRIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
