"""AdamW as mmseg trains its transformers, 20k iterations.

The wider the feature, the smaller the step of its coefficients, whose bases amplify it (ours; the
rates of ``adamw_r18.py`` at the backbones' widths).
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.),
            'relative_position_bias_table': dict(decay_mult=0.),
            'pos_block': dict(decay_mult=0.),
            'norm': dict(decay_mult=0.),
            'coefficients.32x.weight': dict(lr_mult=0.5),
            'coefficients.16x.weight': dict(lr_mult=1.),
            'coefficients.8x.weight': dict(lr_mult=2.),
            'coefficients.4x.weight': dict(lr_mult=4.),
            '32x.coefficients.weight': dict(lr_mult=0.5),
            '16x.coefficients.weight': dict(lr_mult=1.),
            '8x.coefficients.weight': dict(lr_mult=2.),
            '4x.coefficients.weight': dict(lr_mult=4.),
        }))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end=20000, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
