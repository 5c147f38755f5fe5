# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What a checkpoint has in place of a weight."""

from typing import Any

import torch
from torch import Tensor


def describe_weight(value: Any, shape: tuple[int, ...], floating: bool = True) -> str:
    """Say what a checkpoint's value is, to be compared with what it has to be.

    Args:
        value: what the checkpoint has under the weight's name.
        shape: the shape that the weight has to have.
        floating: whether it has to be of a floating-point type.

    Returns:
        ``str(shape)`` if it is such a tensor, whole and finite in single precision. Otherwise its
        type or shape, or the shape and what else is wrong.
    """
    if not isinstance(value, Tensor):
        return f'a {type(value).__name__}'
    got = str(tuple(value.shape))
    if got != str(shape):
        return got
    if value.is_quantized or (floating and not value.is_floating_point()):
        return f'{got} of {value.dtype}'
    # A tensor may repeat a few numbers without end, which no memory holds.
    if (value.is_meta or value.layout is not torch.strided
            or value.untyped_storage().nbytes() < value.nbytes):
        return f'{got} without data of its own'
    # As networks read and files are written.
    return got if value.float().isfinite().all() else f'{got} with values that are not finite'
