# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo's data set: textured shapes on textured grounds."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_lrr.evaluation.label_png import save_label_png

SHAPE_CLASSES = ('background', 'disc', 'box', 'triangle', 'star', 'ring', 'tree')
#: None looks like the blue, red and yellow of changed pixels in pictures of masks.
SHAPE_PALETTE = ((0, 0, 0), (225, 120, 185), (125, 85, 50), (0, 195, 195), (150, 90, 220),
                 (150, 150, 150), (70, 170, 60))

_IGNORE = 255
#: Shape -> mean of its hues in degrees.
_HUES = {'disc': 15, 'ring': 15, 'star': 110, 'tree': 110, 'box': 235, 'triangle': 235}


def make_shapes_dataset(root: str | Path, *, num_train: int, num_val: int,
                        size_range: tuple[int, int] = (128, 160), seed: int = 0) -> Path:
    """Make a small data set of shapes in VOC's layout.

    Images go to ``JPEGImages/*.jpg``, indexed label maps with a 255 contour as in VOC, one
    pixel wide, to ``SegmentationClass/*.png``, and the lists of names to
    ``ImageSets/Segmentation/{train,val}.txt``. Each image has three to six shapes that may hide
    parts of each other; trees and rings have parts three to seven pixels wide. Colours are a hint:
    two classes share each range of hues, and the ranges overlap; texture and outline tell the
    rest. The same arguments give the same files; a data set that was made with them is kept.

    Args:
        root: Folder to make, which is returned.
        num_train: Number of images in ``train.txt``.
        num_val: Number of images in ``val.txt``.
        size_range: Least and greatest side in pixels; height and width are drawn apart.
        seed: Seed, not negative.
    """
    root = Path(root)
    settings = json.dumps({'version': 2, 'num_train': num_train, 'num_val': num_val,
                           'size_range': list(size_range), 'seed': seed})
    record = root / 'shapes.json'
    if record.is_file() and record.read_text() == settings:
        return root
    # Written last again, so that it stands for a complete data set.
    record.unlink(missing_ok=True)
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[:len(SHAPE_PALETTE)] = SHAPE_PALETTE
    palette[_IGNORE] = (224, 224, 192)  # VOC's cream.
    for split_index, (split, number) in enumerate((('train', num_train), ('val', num_val))):
        names = [f'{split}_{index:05d}' for index in range(number)]
        for index, name in enumerate(names):
            image, label_map = draw_shapes(
                np.random.default_rng([seed, split_index, index]), size_range)
            Image.fromarray(image).save(root / 'JPEGImages' / f'{name}.jpg', quality=95)
            save_label_png(root / 'SegmentationClass' / f'{name}.png', label_map, palette)
        listing = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
        listing.write_text('\n'.join(names) + '\n')
    record.write_text(settings)
    return root


def draw_shapes(generator: np.random.Generator,
                size_range: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image, ``(H, W, 3)`` uint8 RGB, and its labels, ``(H, W)`` uint8."""
    height, width = generator.integers(size_range[0], size_range[1] + 1, 2).tolist()
    grid = np.mgrid[:height, :width].astype(np.float64)
    image = _background(generator, grid)
    ground = image.mean(axis=(0, 1))
    label_map = np.zeros((height, width), dtype=np.uint8)
    number = int(generator.integers(3, 7))
    for label in generator.permutation(np.arange(1, len(SHAPE_CLASSES)))[:number].tolist():
        shape = SHAPE_CLASSES[label]
        radius = generator.uniform(0.14, 0.27) * min(height, width)
        angle = generator.uniform(0, 2 * np.pi)
        if shape == 'tree':
            radius *= 1.25
            angle = generator.uniform(-0.5, 0.5)
        centre = generator.uniform(0.1, 0.9, 2) * (width, height)
        opacity = _rasterise(*_outline(generator, shape, radius), centre, angle, height, width)
        # Each pixel's place in the shape's own frame.
        rows, columns = grid[0] - centre[1], grid[1] - centre[0]
        along = columns * np.cos(angle) + rows * np.sin(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        colours = _colour_pair(generator, shape, ground)
        mix = _texture(generator, shape, along, across)[..., None]
        paint = colours[0] * (1 - mix) + colours[1] * mix
        image = image * (1 - opacity[..., None]) + paint * opacity[..., None]
        mask = (opacity > 0.5).astype(np.uint8)
        # The contour lies outside the shape, so that parts two pixels wide keep their label.
        label_map[cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0] = _IGNORE
        label_map[mask > 0] = label
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    image = image + generator.normal(0, 5, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), label_map


def _colour_pair(generator: np.random.Generator, shape: str, ground: np.ndarray) -> np.ndarray:
    """Draw two RGB colours that differ from each other and from the ground's, ``(2, 3)``."""
    while True:
        hues = generator.normal(_HUES[shape], 25, 2) % 360
        saturations, values = generator.uniform(0.35, 1, 2), generator.uniform(0.25, 1, 2)
        hsv = np.stack([hues, saturations, values], axis=1).astype(np.float32)
        pair = 255 * cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
        if np.abs(pair - [pair[1], ground]).mean(axis=1).min() > 50:
            return pair


def _background(generator: np.random.Generator, grid: np.ndarray) -> np.ndarray:
    """Paint a ground of gradients, clouds or broad stripes, ``(H, W, 3)`` float."""
    rows, columns = grid
    height, width = rows.shape
    angle = generator.uniform(0, 2 * np.pi)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    kind = generator.integers(3)
    if kind == 0:
        mix = (along - along.min()) / np.ptp(along)
    elif kind == 1:
        coarse = generator.random((height // 16 + 2, width // 16 + 2))
        mix = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * along / generator.uniform(30, 60))
    first = generator.uniform(60, 195) + generator.uniform(-35, 35, 3)
    second = np.clip(first + generator.uniform(-60, 60) + generator.uniform(-25, 25, 3), 0, 255)
    ground = first * (1 - mix[..., None]) + second * mix[..., None]
    return ground + generator.normal(0, generator.uniform(2, 12), (height, width, 1))


def _rasterise(filled: list[np.ndarray], cut: list[np.ndarray], centre: np.ndarray, angle: float,
               height: int, width: int) -> np.ndarray:
    """Draw polygons of a shape's frame as opacity 0..1, ``(H, W)``; those in ``cut`` are holes."""
    scale = 4  # drawn larger, for smooth rims
    canvas = np.zeros((height * scale, width * scale), dtype=np.float32)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for polygons, value in ((filled, 1.0), (cut, 0.0)):
        for polygon in polygons:
            points = ((polygon @ turn + centre + 0.5) * scale - 0.5).round().astype(np.int32)
            cv2.fillPoly(canvas, [points], value)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _outline(generator: np.random.Generator, shape: str,
             radius: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the polygons ``(N, 2)`` that a shape fills, and those that it then leaves out."""
    if shape == 'tree':
        return _tree(generator, radius), []
    if shape in ('disc', 'ring'):
        circle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        hole = [_polar(radius - generator.uniform(4, 7), circle)] if shape == 'ring' else []
        return [_polar(radius, circle)], hole
    if shape == 'box':
        half = radius * np.array([1.0, generator.uniform(0.6, 1.0)])
        return [half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])], []
    if shape == 'triangle':
        angles = np.array([0, 1, 2]) * 2 * np.pi / 3 + generator.uniform(-0.25, 0.25, 3)
        return [_polar(1.25 * radius, angles)], []
    points = np.arange(2 * int(generator.integers(5, 8)))  # of a star
    radii = np.where(points % 2 == 0, 1.3 * radius, 0.5 * radius)
    return [_polar(radii, points * np.pi / (len(points) // 2))], []


def _polar(radii: float | np.ndarray, angles: np.ndarray) -> np.ndarray:
    return np.reshape(radii, (-1, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _tree(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    """Return a bare tree: a trunk and branches in pairs, three to five pixels wide."""
    def bar(start: np.ndarray, end: np.ndarray, thickness: float) -> np.ndarray:
        direction = (end - start) / np.linalg.norm(end - start)
        side = np.array([-direction[1], direction[0]]) * thickness / 2
        return np.stack([start - side, end - side, end + side, start + side])

    foot, top = np.array([0.0, radius]), np.array([0.0, -radius])
    bars = [bar(foot, top, generator.uniform(4, 5.5))]
    for share in np.linspace(0.35, 0.85, 4) + generator.uniform(-0.04, 0.04, 4):
        fork = foot + share * (top - foot)
        reach = radius * (1.1 - 0.8 * share) * generator.uniform(0.8, 1.2)
        rise = generator.uniform(0.5, 0.9)
        for side in (-1, 1):
            tip = fork + reach * np.array([side, -rise])
            bars.append(bar(fork, tip, generator.uniform(3, 4)))
    return bars


def _texture(generator: np.random.Generator, shape: str, along: np.ndarray,
             across: np.ndarray) -> np.ndarray:
    """Return how much each pixel has of a shape's second colour, ``(H, W)`` in 0..1."""
    if shape == 'disc':  # Spots.
        period = generator.uniform(6, 9)
        waves = np.cos(2 * np.pi * along / period) * np.cos(2 * np.pi * across / period)
        return np.clip(0.5 + 2 * (waves - 0.2), 0, 1)
    if shape == 'box':  # Checks.
        period = generator.uniform(8, 12)
        waves = np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period)
        return (waves > 0).astype(np.float64)
    if shape == 'triangle':  # Stripes.
        return 0.5 + 0.5 * np.sin(2 * np.pi * along / generator.uniform(5, 8))
    if shape == 'star':  # Speckle.
        grains = cv2.GaussianBlur(generator.random(along.shape), (0, 0), 0.7)
        return np.clip(0.5 + 4 * (grains - 0.5), 0, 1)
    if shape == 'ring':  # Sheen.
        return 0.5 + 0.5 * np.cos(np.arctan2(across, along))
    return np.zeros_like(along)
