"""mmseg's 80k schedule behind a warm-up of 500 iterations."""
_base_ = './sgd_20k.py'
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=500, end=80000, by_epoch=False)
]
train_cfg = dict(max_iters=80000, val_interval=8000)
