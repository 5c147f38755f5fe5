# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Resizing against loops and against Pillow; canvases against whole-number arithmetic."""

import numpy as np
import pytest
import torch
from PIL import Image
from references import resize_bicubic as resize_by_loop
from references import upsample2x_replicate, upsample2x_zeros

from mmseg_lrr.ops.resampling import (
    canvas_size,
    fitted_size,
    resize_bicubic,
    scale_image,
    scale_labels,
    upsample2x,
)

BY_LOOPS = {'zeros': upsample2x_zeros, 'replicate': upsample2x_replicate}


@pytest.mark.parametrize('border', BY_LOOPS)
def test_upsample_equals_loops(border: str) -> None:
    for size in [(1, 1), (1, 6), (5, 1), (4, 7)]:
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = BY_LOOPS[border](x.numpy())
        np.testing.assert_allclose(upsample2x(x, border).numpy(), expected, rtol=1e-12, atol=1e-12)
        for layout in (x.float(), x.float().to(memory_format=torch.channels_last)):
            np.testing.assert_allclose(
                upsample2x(layout, border).numpy(), expected, rtol=1e-4, atol=1e-6)
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample2x(x, border), x)


@pytest.mark.parametrize('height, width, new_height, new_width', [
    (11, 17, 22, 34), (24, 18, 7, 18), (13, 9, 5, 31), (1, 5, 4, 2)])
def test_resize_equals_a_loop_and_pillow(
        height: int, width: int, new_height: int, new_width: int) -> None:
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    resized = resize_bicubic(x, (new_height, new_width)).numpy()
    expected = resize_by_loop(x.numpy(), new_height, new_width)
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-12)
    picture = Image.fromarray(x[0, 0].float().numpy())
    pillow = np.asarray(picture.resize((new_width, new_height), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(resized[0, 0], pillow, rtol=0, atol=2e-6)
    assert resize_bicubic(x, (height, width)) is x


@pytest.mark.parametrize('size, scale, canvas, image', [
    # The authors' scales of a 375x500 image.
    ((375, 500), 0.6, (224, 288), (216, 288)),
    ((375, 500), 0.8, (288, 416), (288, 384)),
    ((500, 375), 0.8, (416, 288), (384, 288)),
    ((334, 500), 1.0, (320, 512), (320, 480)),  # 479.04
    # Less than half a block is still a block; half a block is rounded up.
    ((8, 100), 1.0, (32, 96), (8, 96)),
    ((80, 240), 1.0, (96, 256), (86, 256)),  # 85.3
])
def test_canvas_and_image_sizes(size: tuple, scale: float, canvas: tuple, image: tuple) -> None:
    assert canvas_size(size, scale) == canvas
    assert fitted_size(size, canvas) == image


def test_canvas_rounds_halves_up_at_every_size() -> None:
    """At scales without an exact binary form, too: 0.6 * 80 / 32 = 1.5."""
    for tenths in (5, 6, 8, 10, 11, 12, 15):
        for side in range(16, 700):
            # 32 * floor(tenths / 10 * side / 32 + 1 / 2), in whole numbers.
            expected = 32 * max((2 * tenths * side + 320) // 640, 1)
            assert canvas_size((side, side), tenths / 10) == (expected, expected), (tenths, side)


def test_sizes_are_matlabs() -> None:
    """Found by trying: the first whole number that is not below the exact size."""
    rng = np.random.default_rng(0)
    for height, width in rng.integers(16, 700, (1000, 2)).tolist():
        high, wide = canvas_size((height, width), rng.choice([0.6, 0.8, 1.0]).item())
        if high * width <= wide * height:  # the height fills the canvas
            expected = high, next(n for n in range(wide + 1) if n * height >= high * width)
        else:
            expected = next(n for n in range(high + 1) if n * width >= wide * height), wide
        assert fitted_size((height, width), (high, wide)) == expected, (height, width)


def resize_nearest(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) -> (height, width): the pixel that holds each new pixel's centre."""
    rows = [int((i + .5) * labels.shape[0] / height) for i in range(height)]
    columns = [int((i + .5) * labels.shape[1] / width) for i in range(width)]
    return labels[np.ix_(rows, columns)]


def on_square(x: np.ndarray, side: int, value: float) -> np.ndarray:
    """(..., H, W) pixel by pixel: floor(rest / 2) pixels are added, or taken away, first."""
    out = np.full((*x.shape[:-2], side, side), value, x.dtype)
    added, taken = (np.array([max(sign * (side - length), 0) // 2 for length in x.shape[-2:]])
                    for sign in (1, -1))
    for row in range(side):
        for column in range(side):
            y, z = (row, column) - added + taken
            if 0 <= y < x.shape[-2] and 0 <= z < x.shape[-1]:
                out[..., row, column] = x[..., y, z]
    return out


# (height, width), long side, canvas: shrunk, enlarged, enlarged and cropped, unchanged.
@pytest.mark.parametrize('size, long_side, canvas', [
    ((37, 50), 30, 30), ((50, 37), 64, 80), ((20, 33), 65, 48), ((24, 24), 24, 32)])
def test_image_is_bicubic_labels_are_nearest_and_both_centred(
        size: tuple, long_side: int, canvas: int) -> None:
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    height, width = (-(-side * long_side // max(size)) for side in size)
    resized = resize_by_loop(image.double().numpy(), height, width)
    scaled = scale_image(image.float(), long_side, canvas, 128)
    np.testing.assert_allclose(scaled, on_square(resized, canvas, 128), atol=1e-3)
    # 8 bits stay 8 bits: the nearest colour, to float32's precision.
    stored = scale_image(image, long_side, canvas, 128)
    assert (scaled.dtype, stored.dtype) == (torch.float32, torch.uint8)
    expected = on_square(resized.clip(0, 255), canvas, 128)
    np.testing.assert_allclose(stored, expected, rtol=0, atol=0.501)
    expected = on_square(resize_nearest(image[0].numpy(), height, width), canvas, 255)
    for dtype in (torch.uint8, torch.int64):
        labels = scale_labels(image[0].to(dtype), long_side, canvas, 255)
        assert labels.dtype == dtype
        np.testing.assert_array_equal(labels, expected)
