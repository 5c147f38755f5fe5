# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmseg_lrr.ops.resampling import centre_on_square, scale_image, scale_labels


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resize_line(line: np.ndarray, length: int) -> np.ndarray:
    """Antialiased bicubic of one axis, sample by sample: (n, ...) -> (length, ...)."""
    step = len(line) / length
    width = max(step, 1)
    out = []
    for i in range(length):
        weights = cubic((np.arange(len(line)) + .5 - (i + .5) * step) / width)
        out.append(np.tensordot(weights / weights.sum(), line, axes=1))
    return np.stack(out)


def resize_cubic(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) -> (height, width, C)."""
    rows = resize_line(image, height)
    return resize_line(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)


def resize_nearest(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) -> (height, width): the pixel that holds each new pixel's centre."""
    rows = [int((i + .5) * labels.shape[0] / height) for i in range(height)]
    columns = [int((i + .5) * labels.shape[1] / width) for i in range(width)]
    return labels[np.ix_(rows, columns)]


def on_square(x: np.ndarray, side: int, value: float) -> np.ndarray:
    """(H, W, ...) pixel by pixel: the centres of map and square fall together, if need be apart by
    half a pixel towards the bottom right."""
    out = np.full((side, side, *x.shape[2:]), value, x.dtype)
    for row in range(side):
        for column in range(side):
            y = row - int(np.ceil((side - x.shape[0]) / 2))
            z = column - int(np.ceil((side - x.shape[1]) / 2))
            if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                out[row, column] = x[y, z]
    return out


@pytest.mark.parametrize('size', [(5, 8), (8, 5), (6, 6), (3, 9), (9, 2), (7, 4)])
def test_centre_on_square(size: tuple[int, int]) -> None:
    x = np.arange(1, size[0] * size[1] + 1, dtype=np.float32).reshape(size)
    found = centre_on_square(torch.from_numpy(x), 6, -1)
    np.testing.assert_array_equal(found, on_square(x, 6, -1))


# (height, width), long side, canvas: shrunk, enlarged, enlarged and cropped, unchanged.
CASES = [((37, 50), 30, 30), ((50, 37), 64, 80), ((20, 33), 66, 48), ((24, 24), 24, 32)]


@pytest.mark.parametrize('size, long_side, canvas', CASES)
def test_image_is_bicubic_and_centred(size: tuple, long_side: int, canvas: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    height, width = (int(side * long_side / max(size) + .5) for side in size)
    expected = on_square(resize_cubic(image.astype(np.float64), height, width), canvas, 128)
    found = scale_image(torch.from_numpy(image).permute(2, 0, 1), long_side, canvas, 128)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.permute(1, 2, 0), expected, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64])
@pytest.mark.parametrize('size, long_side, canvas', CASES)
def test_labels_are_nearest_and_centred(size: tuple, long_side: int, canvas: int,
                                        dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 256, size, dtype=np.uint8)
    height, width = (int(side * long_side / max(size) + .5) for side in size)
    found = scale_labels(torch.from_numpy(labels).to(dtype), long_side, canvas, 255)
    assert found.dtype == dtype
    np.testing.assert_array_equal(
        found, on_square(resize_nearest(labels, height, width), canvas, 255))
