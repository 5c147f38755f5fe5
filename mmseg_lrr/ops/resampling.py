# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Resizing of maps and images, and the sizes of the canvases that they are put on."""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from .pyramid import fit_map

BORDERS = ('zeros', 'replicate')


def upsample2x(x: Tensor, border: str = 'zeros') -> Tensor:
    """Upsample by two, bilinear, at half-pixel centres.

    Args:
        x: ``(N, C, h, w)``.
        border: What lies outside the map. ``'zeros'`` is the released network's fixed 4x4
            transposed convolution [.25 .75 .75 .25]: edge rows and columns are scaled by .75,
            corners by .5625. ``'replicate'`` repeats the edge, as ``F.interpolate`` does.

    Returns:
        ``(N, C, 2h, 2w)``.
    """
    if border == 'replicate':
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
    padded = F.pad(x, (1, 1, 1, 1))
    upsampled = F.interpolate(padded, scale_factor=2, mode='bilinear', align_corners=False)
    return upsampled[..., 2:-2, 2:-2]


def fit_scores(scores: Tensor, size: Sequence[int], slack: int) -> Tensor:
    """Resize scores to a map of another stride, bilinear, at half-pixel centres.

    Both maps begin at the image's top left corner, and their strides differ by a power of 2. What
    they reach beyond the image, as sizes are rounded up to whole cells, is cut off, or the edge is
    repeated: they are not stretched.

    Args:
        scores: ``(N, C, h, w)``.
        size: (height, width) of the result.
        slack: The maps differ by less than so many pixels of the result. Scores of another size
            are stretched all the same.

    Returns:
        ``(N, C, *size)``.
    """
    factor = 2. ** round(math.log2(max(size) / max(scores.shape[2:])))
    rows, columns = (side - int(factor * before)
                     for side, before in zip(size, scores.shape[2:], strict=True))
    if max(abs(rows), abs(columns)) >= slack:
        return F.interpolate(scores, size=tuple(size), mode='bilinear', align_corners=False)
    if factor != 1:
        scores = F.interpolate(scores, scale_factor=factor, mode='bilinear', align_corners=False)
    return fit_map(scores, size)


def resize_bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with antialiased bicubic interpolation (a = -0.5) at half-pixel centres.

    Inside the map this is MATLAB's ``imresize``; at the border PyTorch renormalises the weights
    where MATLAB mirrors the map. Values can overshoot.

    Args:
        x: ``(N, C, h, w)``.
        size: (height, width) of the result.

    Returns:
        ``(N, C, *size)``; ``x`` itself where it has that size.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode='bicubic', align_corners=False, antialias=True)


def canvas_size(size: tuple[int, int], scale: float, divisor: int = 32) -> tuple[int, int]:
    """Return the (height, width) of the canvas on which an image is tested.

    Each side is ``divisor * floor(scale * side / divisor + 0.5)``, at least one block.

    Args:
        size: (height, width) of the image.
        scale: Scale of the test, taken as the decimal number that is written (0.6, not its binary
            neighbour), so that halves are rounded up at every scale.
        divisor: The network's coarsest stride.
    """
    exact = Fraction(str(scale))
    blocks = [int(exact * side / divisor + Fraction(1, 2)) for side in size]
    return max(blocks[0], 1) * divisor, max(blocks[1], 1) * divisor


def fitted_size(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) of an image scaled by the one factor that fits it in a canvas.

    Each side is the ceiling of the exact fraction, as of MATLAB's ``imresize``: 320x480 for an
    image of 334x500 on a canvas of 320x512.
    """
    factor = min(Fraction(canvas[0], size[0]), Fraction(canvas[1], size[1]))
    return math.ceil(factor * size[0]), math.ceil(factor * size[1])


def centre_on_square(x: Tensor, side: int, value: float) -> Tensor:
    """Crop or pad each axis of ``(..., h, w)`` about its centre to ``side`` pixels.

    Of an odd rest, the smaller half is padded, or cropped, above and to the left, as in the
    released training code (on the test canvas it is the larger half).
    """
    height, width = x.shape[-2:]
    top, left = int((side - height) / 2), int((side - width) / 2)
    # A negative padding crops.
    return F.pad(x, (left, side - width - left, top, side - height - top), value=value)


def scale_image(image: Tensor, long_side: int, canvas: int, pad_value: float) -> Tensor:
    """Scale an image and centre it on a square.

    Args:
        image: ``(C, H, W)``, raw colours.
        long_side: Length of the scaled image's long side in pixels; the aspect is kept.
        canvas: Side of the square in pixels.
        pad_value: Colour of the padding in every channel.

    Returns:
        ``(C, canvas, canvas)``, by :func:`resize_bicubic`: uint8 of uint8, as the released code
        stores scaled images, else float32.
    """
    size = fitted_size(tuple(image.shape[1:]), (long_side, long_side))
    scaled = resize_bicubic(image[None].float(), size)[0]
    if image.dtype == torch.uint8:
        scaled = (scaled + 0.5).clamp(0, 255).byte()  # halves up, as MATLAB does
    return centre_on_square(scaled, canvas, pad_value)


def scale_labels(labels: Tensor, long_side: int, canvas: int, pad_value: int) -> Tensor:
    """Scale labels ``(H, W)`` as :func:`scale_image` does, to the nearest; keep their dtype."""
    size = fitted_size(tuple(labels.shape), (long_side, long_side))
    # Floats hold labels exactly; interpolation knows few integer types.
    scaled = F.interpolate(labels[None, None].float(), size=size, mode='nearest-exact')[0, 0]
    return centre_on_square(scaled, canvas, pad_value).to(labels.dtype)
