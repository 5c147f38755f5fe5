# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""From the published archives to the label maps and lists that the configs read."""

from .cityscapes import prepare_cityscapes
from .coco_to_voc import prepare_coco
from .run_jobs import Report, default_workers
from .voc_sbd import prepare_voc_sbd

__all__ = [
    'Report',
    'default_workers',
    'prepare_cityscapes',
    'prepare_coco',
    'prepare_voc_sbd',
]
