"""SGD with the authors' learning-rate multipliers (spec section 4, released VOC recipe).

The coefficients' filters learn at 0.1, 0.05, 0.0125 and 0.1/512 times the base rate (the poster's
network has no normalisation, so finer features are much larger), those of the dilation and erosion
branches too, at whichever levels they are; every bias learns at twice the base rate. A custom key
switches ``bias_lr_mult`` off for what it matches, and the longest match wins: hence a longer key
for each bias. Basis functions are buffers and do not learn. FCN's scoring filters learn at 0.1
(ours: 1e-4, the rate at which FCN was published).
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2,
        custom_keys={
            'decode_head.coefficients.32x': dict(lr_mult=0.1),
            'decode_head.coefficients.32x.bias': dict(lr_mult=2),
            'decode_head.coefficients.16x': dict(lr_mult=0.05),
            'decode_head.coefficients.16x.bias': dict(lr_mult=2),
            'decode_head.coefficients.8x': dict(lr_mult=0.0125),
            'decode_head.coefficients.8x.bias': dict(lr_mult=2),
            'decode_head.coefficients.4x': dict(lr_mult=0.1 / 512),
            'decode_head.coefficients.4x.bias': dict(lr_mult=2),
            'decode_head.dilation.coefficients.32x': dict(lr_mult=0.1),
            'decode_head.dilation.coefficients.32x.bias': dict(lr_mult=2),
            'decode_head.dilation.coefficients.16x': dict(lr_mult=0.05),
            'decode_head.dilation.coefficients.16x.bias': dict(lr_mult=2),
            'decode_head.dilation.coefficients.8x': dict(lr_mult=0.0125),
            'decode_head.dilation.coefficients.8x.bias': dict(lr_mult=2),
            'decode_head.dilation.coefficients.4x': dict(lr_mult=0.1 / 512),
            'decode_head.dilation.coefficients.4x.bias': dict(lr_mult=2),
            'decode_head.dilation.bias.32x': dict(lr_mult=2),
            'decode_head.dilation.bias.16x': dict(lr_mult=2),
            'decode_head.dilation.bias.8x': dict(lr_mult=2),
            'decode_head.dilation.bias.4x': dict(lr_mult=2),
            'decode_head.erosion.coefficients.32x': dict(lr_mult=0.1),
            'decode_head.erosion.coefficients.32x.bias': dict(lr_mult=2),
            'decode_head.erosion.coefficients.16x': dict(lr_mult=0.05),
            'decode_head.erosion.coefficients.16x.bias': dict(lr_mult=2),
            'decode_head.erosion.coefficients.8x': dict(lr_mult=0.0125),
            'decode_head.erosion.coefficients.8x.bias': dict(lr_mult=2),
            'decode_head.erosion.coefficients.4x': dict(lr_mult=0.1 / 512),
            'decode_head.erosion.coefficients.4x.bias': dict(lr_mult=2),
            'decode_head.erosion.bias.32x': dict(lr_mult=2),
            'decode_head.erosion.bias.16x': dict(lr_mult=2),
            'decode_head.erosion.bias.8x': dict(lr_mult=2),
            'decode_head.erosion.bias.4x': dict(lr_mult=2),
            'decode_head.scores.32x.weight': dict(lr_mult=0.1),
            'decode_head.scores.16x.weight': dict(lr_mult=0.1),
            'decode_head.scores.8x.weight': dict(lr_mult=0.1),
        }))
