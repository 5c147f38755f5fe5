# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Make checkpoints of earlier layouts, or of fewer levels, fit a head."""

import re
from collections.abc import Mapping
from typing import Any


def rename_keys(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the weights of a checkpoint written when a level was not yet a module.

    ``coefficients.32x.weight`` became ``levels.32x.coefficients.weight``, and
    ``reconstructions.32x.bases`` became ``levels.32x.reconstruction.bases``. Those of the DE
    branches, and all other keys, stay.
    """
    old = re.compile(r'(?<!dilation\.)(?<!erosion\.)\b(coefficients|reconstruction)s?\.(\d+x)\.')
    return {old.sub(r'levels.\2.\1.', key): value for key, value in state_dict.items()}


def filter_checkpoint(state_dict: Mapping[str, Any], bases: Mapping[str, tuple[int, ...]],
                      flag: str) -> dict[str, Any]:
    """Rename older keys, and give levels that the checkpoint lacks the bases that it has.

    A checkpoint of stage 1 (LRR-32x) thus brings the bases of stage 2 (LRR-4x).

    Args:
        state_dict: Weights by name.
        bases: Shapes of the head's basis functions by name, coarse to fine.
        flag: Name of ``bases_loaded``; it becomes False where the checkpoint's bases do not fit, so
            that ``ClassBasesHook`` computes new ones.
    """
    filtered = rename_keys(state_dict)
    stored = [filtered[name] for name in bases if name in filtered]
    if flag in filtered and stored:
        for name, shape in bases.items():
            if name not in filtered and stored[0].shape == shape:
                filtered[name] = stored[0].clone()
        fits = all(name in filtered and filtered[name].shape == shape
                   for name, shape in bases.items())
        filtered[flag] = filtered[flag] & fits
    return filtered


def cascade_keys(state_dict: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Rename the weights of a network with one decode head to those of a cascade's first head.

    ``decode_head.conv_seg.weight`` becomes ``decode_head.0.conv_seg.weight``. A cascade's own
    checkpoint stays as it is.

    Args:
        state_dict: Weights by name.
        prefix: What the segmentor's names begin with.
    """
    head = f'{prefix}decode_head.'
    if any(re.match(rf'{re.escape(head)}\d+\.', key) for key in state_dict):
        return dict(state_dict)
    return {f'{head}0.{key.removeprefix(head)}' if key.startswith(head) else key: value
            for key, value in state_dict.items()}
