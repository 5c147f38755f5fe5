"""Any row of the poster on VGG-16 and VOC, or VOC + COCO, as the authors' released code has it.

The environment variable ROW names the row's config: ``ROW=lrr32x_vgg16_voc python tools/train.py
configs/lrr/authors.py``, then ``ROW=lrr4x_vgg16_voc python tools/train.py configs/lrr/authors.py``.
A training keeps its whole config as ``work_dirs/authors/ROW/authors.py``; test with that. What the
other recipes do differently, and why: docs/method.md, "Departures from the released code".
"""
_base_ = './{{$ROW:ROW_is_not_set}}.py'
row = '{{$ROW:ROW_is_not_set}}'
if not row.endswith(('_vgg16_voc', '_vgg16_voc-1scale', '_vgg16_coco-voc')):
    raise ValueError(f'ROW must name a config *_vgg16_voc, *-1scale or *_vgg16_coco-voc, got {row}')
work_dir = f'work_dirs/authors/{row}'
load_from = _base_.load_from and _base_.load_from.replace('work_dirs', 'work_dirs/authors')
model = dict(
    data_preprocessor=dict(
        # RGB, divided by nothing. The authors subtract the mean of their training images' mean
        # colours; this is that of VOC 2012's training images in public lists.
        mean=[116.54, 111.74, 103.58],
        std=[1.0, 1.0, 1.0],
        # A batch of small images stays small.
        size=None,
        size_divisor=32))
if load_from is None:  # else stage 1's checkpoint brings all of the backbone
    model['backbone'] = dict(init_cfg=dict(checkpoint='checkpoints/imagenet_vgg_verydeep_16.pth'))
optim_wrapper = dict(optimizer=dict())
if row.startswith('lrr'):
    model['decode_head'] = dict(loss_dilation_erosion=dict(footprint='octagon'))
    # Multipliers of the levels and of the dilation and erosion branches, whichever they have.
    optim_wrapper['paramwise_cfg'] = dict(
        custom_keys={
            '_delete_': True,
            '32x.coefficients.weight': dict(lr_mult=0.1),
            '16x.coefficients.weight': dict(lr_mult=0.05),
            '8x.coefficients.weight': dict(lr_mult=0.0125),
            '4x.coefficients.weight': dict(lr_mult=0.1 / 512),
            'coefficients.32x.weight': dict(lr_mult=0.1),
            'coefficients.16x.weight': dict(lr_mult=0.05),
            'coefficients.8x.weight': dict(lr_mult=0.0125),
            'coefficients.4x.weight': dict(lr_mult=0.1 / 512),
            # These are no module's ``bias``, which bias_lr_mult knows.
            'dilation.bias': dict(lr_mult=2),
            'erosion.bias': dict(lr_mult=2),
        })
    custom_hooks = [
        dict(type='ClassBasesHook', num_patches=10000, seed=0),
        dict(type='ResetMomentumHook')
    ]
if row.startswith(('lrr16x', 'lrr8x')):
    # Theirs for these levels, at which their code then trains for no epoch: 16 epochs are ours.
    optim_wrapper['optimizer'] = dict(lr=1e-3)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='OneScalePerBatch', datasets=[_base_.train_dataloader.dataset]))
val_evaluator = dict(absent_classes='zero')
test_evaluator = val_evaluator
