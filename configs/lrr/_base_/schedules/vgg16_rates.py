"""SGD for VGG-16: the authors' base rate, momentum and decay; the backbone's biases at twice it.

The head learns at ten times the rate, which ``CoefficientRatesHook`` shares out between its levels
(ours; ``authors.py`` has the authors' multipliers, which belong to their own VGG-16). FCN's scoring
filters learn at 0.1 (ours: 1e-4, the rate at which FCN was published), its biases at 2.
"""
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2,
        custom_keys={
            'decode_head.levels': dict(lr_mult=10),
            'decode_head.dilation': dict(lr_mult=10),
            'decode_head.erosion': dict(lr_mult=10),
            'decode_head.scores.32x.weight': dict(lr_mult=0.1),
            'decode_head.scores.16x.weight': dict(lr_mult=0.1),
            'decode_head.scores.8x.weight': dict(lr_mult=0.1),
        }))
