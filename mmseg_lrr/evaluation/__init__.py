# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from .metrics import CityscapesSubmission, LRRIoUMetric, TrimapIoUMetric, VOCSubmission

__all__ = ['CityscapesSubmission', 'LRRIoUMetric', 'TrimapIoUMetric', 'VOCSubmission']
