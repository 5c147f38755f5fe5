"""Runtime of every LRR config: mmseg's, plus the class bases computed before training."""
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_lrr'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Whole files, and random states with them: a resumed run ends as one that was not interrupted.
    checkpoint=dict(type='LRRCheckpointHook', by_epoch=False, interval=2000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Stops a training whose loss is NaN or infinite.
    non_finite=dict(type='NonFiniteHook', interval=50),
    # Draws with --show and --show-dir alone: then every image.
    visualization=dict(type='SegVisualizationHook', interval=1))
# The basis functions of the classes, from the training labels; a checkpoint that has them keeps
# its own. Rates of the head's levels that follow from their feature maps.
custom_hooks = [
    dict(type='ClassBasesHook', num_patches=10000, seed=0),
    dict(type='CoefficientRatesHook')
]
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='LRRTestLoop')
tta_model = dict(type='LRRTTAModel', fusion='max')
