# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from .level_iou_metric import LRRIoUMetric
from .submission import CityscapesSubmission, VOCSubmission
from .trimap_iou_metric import TrimapIoUMetric

__all__ = ['CityscapesSubmission', 'LRRIoUMetric', 'TrimapIoUMetric', 'VOCSubmission']
