"""AdamW for a ResNet-18 from scratch (ours).

A coefficient's step is summed over its filter's 25 taps per channel and amplified by the bases,
whose norms reach 8: at the full rate the loss rises at first. The wider the feature map, the
smaller the step. The second four keys are the head's own coefficients, the first those of the
dilation and erosion branches.
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'coefficients.32x.weight': dict(lr_mult=0.05),
            'coefficients.16x.weight': dict(lr_mult=0.1),
            'coefficients.8x.weight': dict(lr_mult=0.2),
            'coefficients.4x.weight': dict(lr_mult=0.4),
            '32x.coefficients.weight': dict(lr_mult=0.05),
            '16x.coefficients.weight': dict(lr_mult=0.1),
            '8x.coefficients.weight': dict(lr_mult=0.2),
            '4x.coefficients.weight': dict(lr_mult=0.4),
        }))
