"""SGD with the authors' learning-rate multipliers (docs/method.md, "Training").

The coefficients' filters learn at 0.1, 0.05, 0.0125 and 0.1/512 times the base rate (the poster's
network has no normalisation, so finer features are much larger), those of the dilation and erosion
branches too, at whichever levels they are; every bias learns at twice the base rate. A custom key
matches wherever it occurs in a name, in the branches too, and switches ``bias_lr_mult`` off there:
hence keys of the weights alone, and keys of the branches' own biases, which are no module's
``bias``. Basis functions are buffers and do not learn. FCN's scoring filters learn at 0.1 (ours:
1e-4, the rate at which FCN was published).
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2,
        custom_keys={
            'coefficients.32x.weight': dict(lr_mult=0.1),
            'coefficients.16x.weight': dict(lr_mult=0.05),
            'coefficients.8x.weight': dict(lr_mult=0.0125),
            'coefficients.4x.weight': dict(lr_mult=0.1 / 512),
            '32x.coefficients.weight': dict(lr_mult=0.1),
            '16x.coefficients.weight': dict(lr_mult=0.05),
            '8x.coefficients.weight': dict(lr_mult=0.0125),
            '4x.coefficients.weight': dict(lr_mult=0.1 / 512),
            'dilation.bias': dict(lr_mult=2),
            'erosion.bias': dict(lr_mult=2),
            'decode_head.scores.32x.weight': dict(lr_mult=0.1),
            'decode_head.scores.16x.weight': dict(lr_mult=0.1),
            'decode_head.scores.8x.weight': dict(lr_mult=0.1),
        }))
