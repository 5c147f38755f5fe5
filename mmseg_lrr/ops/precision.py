# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Where sums over many pixels need more than half precision."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """float16 and bfloat16 to float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
