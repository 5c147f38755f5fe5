# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Images and labels scaled to a given long side and centred on a square (spec section 4)."""

import torch.nn.functional as F
from torch import Tensor

from .resize import fitted_size, resize_bicubic


def centre_on_square(x: Tensor, side: int, value: float) -> Tensor:
    """Crop or pad each axis of (..., h, w) about its centre to ``side``.

    Of an odd rest, the larger half is padded above and to the left, as the test canvas's, and the
    smaller half cropped there.

    Args:
        x: map of any type, (..., h, w).
        side: side of the square in pixels.
        value: of the padding.

    Returns:
        (..., side, side).
    """
    height, width = x.shape[-2:]
    top, left = (side - height + 1) // 2, (side - width + 1) // 2
    # A negative padding crops.
    return F.pad(x, (left, side - width - left, top, side - height - top), value=value)


def scale_image(image: Tensor, long_side: int, canvas: int, pad_value: float) -> Tensor:
    """Scale an image so that its long side has ``long_side`` pixels; centre it on a square.

    Args:
        image: (C, H, W), raw colours.
        long_side: in pixels; the short side keeps the aspect, rounded to whole pixels.
        canvas: side of the square in pixels.
        pad_value: colour of the padding in every channel.

    Returns:
        (C, canvas, canvas) float32. Bicubic with antialiasing, not rounded: values can overshoot.
    """
    size = fitted_size(tuple(image.shape[1:]), (long_side, long_side))
    return centre_on_square(resize_bicubic(image[None].float(), size)[0], canvas, pad_value)


def scale_labels(labels: Tensor, long_side: int, canvas: int, pad_value: int) -> Tensor:
    """The same for a label map (H, W), nearest at half-pixel centres; its type is kept."""
    size = fitted_size(tuple(labels.shape), (long_side, long_side))
    # Floats hold labels exactly; interpolation knows few integer types.
    scaled = F.interpolate(labels[None, None].float(), size=size, mode='nearest-exact')[0, 0]
    return centre_on_square(scaled, canvas, pad_value).to(labels.dtype)
