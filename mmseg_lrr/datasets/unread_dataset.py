# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What a config says about a data set, where its files need not be on this machine."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

#: Options whose defaults the toolbox's data sets set, each its own.
_OWN_DEFAULTS = ('img_suffix', 'seg_map_suffix', 'reduce_zero_label')


def unread_dataset(cfg: Mapping) -> BaseSegDataset:
    """Build a data set that has read nothing: its classes, suffixes and label mapping are there.

    Args:
        cfg: config of a data set; it is not changed.
    """
    cfg = {**copy.deepcopy(dict(cfg)), 'lazy_init': True}
    try:
        return DATASETS.build(cfg)
    except AssertionError:
        # PascalVOCDataset and others look for their files even so.
        kind = DATASETS.get(cfg['type'])
        options = inspect.signature(kind).parameters
        own = {name: options[name].default for name in _OWN_DEFAULTS if name in options}
        # The base class reads the classes' names from here.
        plain = type(kind.__name__, (BaseSegDataset, ), dict(METAINFO=kind.METAINFO))
        return plain(**{**own, **{name: value for name, value in cfg.items() if name != 'type'}})
