# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Bilinear upsampling by two at half-pixel centres, with either border rule."""

import torch.nn.functional as F
from torch import Tensor

BORDERS = ('zeros', 'replicate')


def upsample2x(x: Tensor, border: str = 'zeros') -> Tensor:
    """Upsample by two, bilinear, half-pixel centres.

    Args:
        x: (N, C, h, w).
        border: what lies outside the map. ``'zeros'`` is the released network's fixed 4x4
            transposed convolution [.25 .75 .75 .25]: edge rows and columns are scaled by .75,
            corners by .5625. ``'replicate'`` repeats the edge, as ``F.interpolate`` does.

    Returns:
        (N, C, 2h, 2w).

    Raises:
        ValueError: if ``border`` is unknown.
    """
    if border == 'replicate':
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
    if border != 'zeros':
        raise ValueError(f'border must be one of {BORDERS}, got {border!r}')
    padded = F.pad(x, (1, 1, 1, 1))
    upsampled = F.interpolate(padded, scale_factor=2, mode='bilinear', align_corners=False)
    return upsampled[..., 2:-2, 2:-2]
