"""Stage 2: all levels together, from stage 1; 16 epochs at a constant 1e-3 / 16."""
_base_ = ['../default_runtime.py', './vgg16_rates.py']
optim_wrapper = dict(optimizer=dict(lr=1e-3 / 16))
param_scheduler = []
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=16, val_interval=4)
log_processor = dict(by_epoch=True)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=4), logger=dict(interval=50))
custom_hooks = [
    dict(type='ClassBasesHook', num_patches=10000, seed=0),
    dict(type='CoefficientRatesHook'),
    dict(type='ResetMomentumHook')
]
