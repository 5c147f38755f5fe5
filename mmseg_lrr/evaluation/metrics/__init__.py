# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from .cityscapes_submission import CityscapesSubmission
from .level_iou_metric import LRRIoUMetric
from .trimap_iou_metric import TrimapIoUMetric
from .voc_submission import VOCSubmission

__all__ = ['CityscapesSubmission', 'LRRIoUMetric', 'TrimapIoUMetric', 'VOCSubmission']
