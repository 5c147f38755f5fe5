# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from .boundary_metrics import BoundaryFMetric, BoundaryIoUMetric, TrimapIoUMetric
from .level_iou_metric import LRRIoUMetric
from .submission import CityscapesSubmission, VOCSubmission

__all__ = ['BoundaryFMetric', 'BoundaryIoUMetric', 'CityscapesSubmission', 'LRRIoUMetric',
           'TrimapIoUMetric', 'VOCSubmission']
