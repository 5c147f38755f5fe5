# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from .metrics import (
    BoundaryFMetric,
    BoundaryIoUMetric,
    CityscapesSubmission,
    LRRIoUMetric,
    TrimapIoUMetric,
    VOCSubmission,
)

__all__ = ['BoundaryFMetric', 'BoundaryIoUMetric', 'CityscapesSubmission', 'LRRIoUMetric',
           'TrimapIoUMetric', 'VOCSubmission']
