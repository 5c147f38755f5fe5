"""LRR-4x, masked, with DE, on ResNet-101."""
_base_ = './lrr4x_r50.py'
model = dict(pretrained='open-mmlab://resnet101_v1c', backbone=dict(depth=101))
