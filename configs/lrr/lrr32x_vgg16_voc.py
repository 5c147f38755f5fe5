"""LRR-32x with DE, VGG-16, PASCAL VOC: stage 1 of the authors' recipe.

Reproduces the start of ``lrr4x_vgg16_voc.py``. The poster's LRR-32x, trained without DE, has 66.8 %
mIoU on VOC 2011 val.
Command: ``python tools/train.py configs/lrr/lrr32x_vgg16_voc.py``; on small GPUs with
``--cfg-options train_dataloader.batch_size=5 optim_wrapper.accumulative_counts=4``.
Cost: 734k images (65 epochs, batch 20) at 429 GFLOP each, 199 M weights; about 7.0 GB and 4.4 hours
of a GPU at 20 TFLOP/s (estimated).
"""
_base_ = [
    './_base_/models/lrr4x_vgg16.py', './_base_/datasets/pascal_voc.py',
    './_base_/schedules/vgg16_stage1.py'
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(in_channels=[4096], in_index=[3], boundary_mask=None))
