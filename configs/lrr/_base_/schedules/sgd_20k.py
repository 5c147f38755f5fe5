"""mmseg's 20k schedule behind a warm-up of 500 iterations.

mmseg's has no warm-up; the coefficients, which start at zero, learn fast from the first step on.
``CoefficientRatesHook`` gives each level its share of the head's rate.
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=1.)}),
    clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=500, end=20000, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
