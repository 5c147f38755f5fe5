"""Cityscapes, fine annotations of train and coarse ones of train_extra, tested on val.

The label maps, and the list of the frames of train_extra that have no fine labels, are made by
``tools/prepare_data.py cityscapes``.
"""
_base_ = './cityscapes.py'
fine_train = {{_base_.train_dataloader.dataset}}
coarse_train = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(
        img_path='leftImg8bit/train_extra', seg_map_path='gtCoarse/train_extra'),
    seg_map_suffix='_gtCoarse_labelTrainIds.png',
    ann_file='ImageSets/coarse_train_extra.txt',
    pipeline={{_base_.train_pipeline}})
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[fine_train, coarse_train]))
