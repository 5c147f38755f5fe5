"""Stage 1: LRR-32x, 65 epochs; 1e-3 for 1-50, 5e-4 for 51-60, 2.5e-4 for 61-65."""
_base_ = ['../default_runtime.py', './vgg16_rates.py']
param_scheduler = [dict(type='MultiStepLR', milestones=[50, 60], gamma=0.5, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=65, val_interval=5)
log_processor = dict(by_epoch=True)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5), logger=dict(interval=50))
custom_hooks = [
    dict(type='ClassBasesHook', num_patches=10000, seed=0),
    dict(type='CoefficientRatesHook'),
    dict(type='ResetMomentumHook')
]
