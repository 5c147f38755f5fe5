# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Resizing against a loop and against Pillow; sizes of the test canvas against the spec."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_lrr.ops.resampling import canvas_size, fitted_size, resize_bicubic

from .. import references

SIZES = [(11, 17, 22, 34), (24, 18, 7, 18), (13, 9, 5, 31), (40, 30, 3, 2), (1, 5, 4, 2)]


@pytest.mark.parametrize('height, width, new_height, new_width', SIZES)
def test_resize_equals_a_loop(height: int, width: int, new_height: int, new_width: int) -> None:
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    expected = references.resize_bicubic(x.numpy(), new_height, new_width)
    resized = resize_bicubic(x, (new_height, new_width)).numpy()
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('height, width, new_height, new_width', SIZES)
def test_resize_equals_pillow(height: int, width: int, new_height: int, new_width: int) -> None:
    x = torch.rand(1, 1, height, width)
    picture = Image.fromarray(x[0, 0].numpy())
    expected = np.asarray(picture.resize((new_width, new_height), Image.Resampling.BICUBIC))
    resized = resize_bicubic(x, (new_height, new_width))[0, 0].numpy()
    np.testing.assert_allclose(resized, expected, rtol=0, atol=2e-6)


def test_resize_to_the_same_size_changes_nothing() -> None:
    x = torch.rand(1, 2, 5, 6)
    assert resize_bicubic(x, (5, 6)) is x


@pytest.mark.parametrize('size, scale, canvas, image', [
    # Spec section 5.
    ((375, 500), 0.6, (224, 288), (216, 288)),
    ((375, 500), 0.8, (288, 416), (288, 384)),
    ((375, 500), 1.0, (384, 512), (384, 512)),
    ((500, 375), 0.8, (416, 288), (384, 288)),
    # Halves: 0.8 * 500 / 32 = 12.5 blocks, 1.0 * 48 / 32 = 1.5.
    ((500, 500), 0.8, (416, 416), (416, 416)),
    ((48, 48), 1.0, (64, 64), (64, 64)),
    ((80, 240), 1.0, (96, 256), (85, 256)),
    # 0.6 and 1.1 have no exact binary form: 0.6 * 80 / 32 = 1.5 and 1.1 * 80 / 32 = 2.75.
    ((80, 80), 0.6, (64, 64), (64, 64)),
    ((80, 80), 1.1, (96, 96), (96, 96)),
    # Less than half a block is still a block.
    ((8, 100), 1.0, (32, 96), (8, 96)),
    ((1024, 2048), 1.0, (1024, 2048), (1024, 2048)),
])
def test_canvas_and_image_sizes(size: tuple, scale: float, canvas: tuple, image: tuple) -> None:
    assert canvas_size(size, scale) == canvas
    assert fitted_size(size, canvas) == image


def test_canvas_rounds_halves_up_at_every_size() -> None:
    for tenths in (5, 6, 8, 10, 12, 15):
        for side in range(16, 700):
            # 32 * floor(tenths / 10 * side / 32 + 1 / 2), in whole numbers.
            expected = 32 * max((2 * tenths * side + 320) // 640, 1)
            assert canvas_size((side, side), tenths / 10) == (expected, expected), (tenths, side)


def test_image_fits_its_canvas_and_keeps_its_shape() -> None:
    for height in range(20, 400, 17):
        for width in range(20, 400, 13):
            canvas = canvas_size((height, width), 0.8)
            fitted = fitted_size((height, width), canvas)
            assert fitted[0] <= canvas[0] and fitted[1] <= canvas[1]
            assert fitted[0] == canvas[0] or fitted[1] == canvas[1]
            factor = min(canvas[0] / height, canvas[1] / width)
            assert abs(fitted[0] - factor * height) <= 0.5 + 1e-9
            assert abs(fitted[1] - factor * width) <= 0.5 + 1e-9
