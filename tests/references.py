# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Slow, obvious NumPy versions of the method's parts, from docs/method.md, one concept each.

They share nothing with the package: tests compare the package's results with these.
"""

import numpy as np
from scipy import ndimage

IGNORED = 255


def sliding_range(x: np.ndarray, window: int) -> np.ndarray:
    """(..., H, W): maximum minus minimum in the window around each pixel, clipped at the border."""
    reach = window // 2
    out = np.empty_like(x)
    for y in range(x.shape[-2]):
        for column in range(x.shape[-1]):
            around = x[..., max(y - reach, 0):y + reach + 1,
                       max(column - reach, 0):column + reach + 1]
            out[..., y, column] = around.max(axis=(-2, -1)) - around.min(axis=(-2, -1))
    return out


def softmax(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W): probabilities over the classes."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def boundary_mask(scores: np.ndarray, window: int) -> np.ndarray:
    """(N, C, H, W) scores -> how much each class's probability varies around a pixel."""
    return sliding_range(softmax(scores), window)


def paint_blocks(coefficients: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """(N, C * K, h, w) and (C, K, 2u, 2u) -> (N, C, u h, u w): add up one block a coefficient."""
    num_classes, num_bases, side, _ = bases.shape
    factor = side // 2
    images, _, height, width = coefficients.shape
    # A margin of u / 2 on each side takes what the outer blocks paint outside the map.
    canvas = np.zeros((images, num_classes, factor * (height + 1), factor * (width + 1)))
    for c in range(num_classes):
        for k in range(num_bases):
            for y in range(height):
                for x in range(width):
                    canvas[:, c, factor * y:factor * y + side, factor * x:factor * x + side] += (
                        coefficients[:, c * num_bases + k, y, x, None, None] * bases[c, k])
    margin = factor // 2
    return canvas[:, :, margin:margin + factor * height, margin:margin + factor * width]


def upsample2x_zeros(x: np.ndarray) -> np.ndarray:
    """(N, C, h, w) -> (N, C, 2h, 2w): every pixel paints a 4x4 tent, two pixels apart."""
    line = np.array([.25, .75, .75, .25])
    tent = np.outer(line, line)
    images, channels, height, width = x.shape
    canvas = np.zeros((images, channels, 2 * height + 2, 2 * width + 2))
    for y in range(height):
        for column in range(width):
            canvas[:, :, 2 * y:2 * y + 4, 2 * column:2 * column + 4] += (
                x[:, :, y, column, None, None] * tent)
    return canvas[:, :, 1:-1, 1:-1]


def resize_bilinear(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """(N, C, h, w) -> (N, C, height, width), half-pixel centres, edges repeated."""
    images, channels, rows, columns = x.shape
    out = np.empty((images, channels, height, width))
    for y in range(height):
        source_y = min(max((y + .5) * rows / height - .5, 0), rows - 1)
        top = int(source_y)
        bottom = min(top + 1, rows - 1)
        for column in range(width):
            source_x = min(max((column + .5) * columns / width - .5, 0), columns - 1)
            left = int(source_x)
            right = min(left + 1, columns - 1)
            dy, dx = source_y - top, source_x - left
            out[:, :, y, column] = (
                (1 - dy) * (1 - dx) * x[:, :, top, left] + (1 - dy) * dx * x[:, :, top, right] +
                dy * (1 - dx) * x[:, :, bottom, left] + dy * dx * x[:, :, bottom, right])
    return out


def upsample2x_replicate(x: np.ndarray) -> np.ndarray:
    """(N, C, h, w) -> (N, C, 2h, 2w), half-pixel centres, edges repeated."""
    return resize_bilinear(x, 2 * x.shape[2], 2 * x.shape[3])


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Same-size cross-correlation of (N, I, H, W) with (O, I, k, k), zeros outside, plus bias."""
    reach = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    out = np.empty((x.shape[0], weight.shape[0], *x.shape[2:]))
    for y in range(x.shape[2]):
        for column in range(x.shape[3]):
            around = padded[:, :, y:y + 2 * reach + 1, column:column + 2 * reach + 1]
            out[:, :, y, column] = np.einsum('nikl,oikl->no', around, weight) + bias
    return out


def resize_bicubic(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """(..., h, w) -> (..., height, width): cubic kernel, a = -0.5, stretched where it shrinks.

    Half-pixel centres; weights of pixels outside the map are left out and the rest renormalised.
    """

    def cubic(distance: float) -> float:
        d = abs(distance)
        if d < 1:
            return 1.5 * d**3 - 2.5 * d**2 + 1
        if d < 2:
            return -.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        return 0.

    def weights(before: int, after: int) -> np.ndarray:
        step = before / after
        matrix = np.empty((after, before))
        for i in range(after):
            centre = (i + .5) * step
            for j in range(before):
                matrix[i, j] = cubic((j + .5 - centre) / max(step, 1.))
            matrix[i] /= matrix[i].sum()
        return matrix

    return weights(x.shape[-2], height) @ x @ weights(x.shape[-1], width).T


def crop(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Keep the top left of the last two axes."""
    assert x.shape[-2] >= height and x.shape[-1] >= width
    return x[..., :height, :width]


def pyramid(details: list[np.ndarray], *, windows: list[int | None], border: str,
            steps: list[int] | None = None) -> list[np.ndarray]:
    """Fuse each level's detail, coarse to fine: up2(coarser) + mask * detail.

    Args:
        details: (N, C, H, W) of every level, coarse to fine.
        windows: of the mask of every level; None for no mask; the coarsest one's is not used.
        border: of the upsampling, 'zeros' or 'replicate'.
        steps: how much finer each level is than the one before, 2 or 1; the coarsest one's is not
            used. Default: 2.
    """
    upsample = {'zeros': upsample2x_zeros, 'replicate': upsample2x_replicate}[border]
    predictions = details[:1]
    for detail, window, step in zip(details[1:], windows[1:], (steps or [2] * len(details))[1:],
                                    strict=True):
        coarser = upsample(predictions[-1]) if step == 2 else predictions[-1]
        # Where maps are rounded up, the coarser one can reach further than the finer one.
        coarser = crop(coarser, *detail.shape[2:])
        if window is not None:
            detail = boundary_mask(coarser, window) * detail
        predictions.append(coarser + detail)
    return predictions


def subsample(labels: np.ndarray, stride: int) -> np.ndarray:
    """(N, H, W) -> the labels at the cells' centres, index s * i + s / 2, where there is one."""
    rows = [stride * i + stride // 2 for i in range(labels.shape[1])]
    columns = [stride * i + stride // 2 for i in range(labels.shape[2])]
    rows = [y for y in rows if y < labels.shape[1]]
    columns = [x for x in columns if x < labels.shape[2]]
    return labels[:, rows][:, :, columns]


def disk(radius: int) -> np.ndarray:
    """(2r + 1, 2r + 1) bool: dx^2 + dy^2 <= r^2."""
    dy, dx = np.mgrid[-radius:radius + 1, -radius:radius + 1]
    return dx**2 + dy**2 <= radius**2


def octagon32() -> np.ndarray:
    """(65, 65) bool: MATLAB's strel('disk', 32), in words."""
    dy, dx = np.abs(np.mgrid[-32:33, -32:33])
    return (dx <= 31) & (dy <= 31) & (dx + dy <= 44)


def matlab_disk(radius: int) -> np.ndarray:
    """(2r + 1, 2r + 1) bool: MATLAB's strel('disk', r) for r >= 3, by adding up its lines.

    Periodic lines in the four directions, then a horizontal and a vertical line where the sum
    stays at least two pixels short of the radius.
    """
    length = 2 * radius / (1 / np.tan(np.pi / 8) + 1 / np.sin(np.pi / 8))
    out = np.zeros((2 * radius + 1, 2 * radius + 1), bool)
    out[radius, radius] = True
    for direction in ((1, 0), (1, 1), (0, 1), (-1, 1)):
        reach = int(length / np.hypot(*direction))
        line = np.zeros((2 * reach + 1, 2 * reach + 1), bool)
        for i in range(-reach, reach + 1):
            line[reach + i * direction[0], reach + i * direction[1]] = True
        out = ndimage.binary_dilation(out, line)
    missing = radius - (np.nonzero(out)[0].max() - radius) - 1
    if missing >= 1:
        out = ndimage.binary_dilation(out, np.ones((2 * missing + 1, 2 * missing + 1), bool))
    return out


def dilation_erosion(labels: np.ndarray, num_classes: int, footprint: np.ndarray,
                     void: str = 'ignore') -> tuple[np.ndarray, np.ndarray]:
    """(N, H, W) -> two (N, C, H, W) of +1 / -1: look at every pixel under the footprint.

    Ignored pixels are of class 0, or of none: then they are not seen and have 0 themselves.
    """
    if void == 'class0':
        labels = np.where(labels == IGNORED, 0, labels)
    images, height, width = labels.shape
    dilation = -np.ones((images, num_classes, height, width))
    erosion = -np.ones((images, num_classes, height, width))
    reach = footprint.shape[0] // 2
    offsets = np.argwhere(footprint) - reach
    for n in range(images):
        for y in range(height):
            for x in range(width):
                rows, columns = y + offsets[:, 0], x + offsets[:, 1]
                inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
                seen = set(labels[n, rows[inside], columns[inside]].tolist()) - {IGNORED}
                if labels[n, y, x] == IGNORED:
                    dilation[n, :, y, x] = erosion[n, :, y, x] = 0
                    continue
                for c in seen:
                    dilation[n, c, y, x] = 1
                if len(seen) == 1:
                    erosion[n, seen.pop(), y, x] = 1
    return dilation, erosion


def cross_entropy(scores: np.ndarray, labels: np.ndarray, class_weight: np.ndarray | None = None,
                  ignore_index: int = IGNORED) -> float:
    """Per image: sum over valid pixels / (their number + 1); then the mean over the batch."""
    losses = []
    for scores_of_image, labels_of_image in zip(scores, labels, strict=True):
        total, valid = 0., 0
        for y in range(labels_of_image.shape[0]):
            for x in range(labels_of_image.shape[1]):
                label = labels_of_image[y, x]
                if label == ignore_index:
                    continue
                pixel = scores_of_image[:, y, x]
                loss = np.logaddexp.reduce(pixel) - pixel[label]
                total += loss * (1. if class_weight is None else class_weight[label])
                valid += 1
        losses.append(total / (valid + 1))
    return sum(losses) / len(losses)


def logistic(scores: np.ndarray, targets: np.ndarray) -> float:
    """log(1 + exp(-t x)) where t is not 0, summed over classes, / (pixels + 1); then the mean over
    the batch."""
    losses = []
    for x, t in zip(scores, targets, strict=True):
        losses.append(np.logaddexp(0, -t * x)[t != 0].sum() / (t.shape[1] * t.shape[2] + 1))
    return sum(losses) / len(losses)
