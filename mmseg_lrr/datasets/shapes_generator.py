# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Generator of the demo's data set: textured shapes on textured grounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_lrr.ops import checks
from mmseg_lrr.replacing import replacing_folder

SHAPE_CLASSES = ('background', 'disc', 'box', 'triangle', 'star', 'ring', 'tree')
#: None looks like the blue, red and yellow of changed pixels in pictures of masks.
SHAPE_PALETTE = (
    (0, 0, 0),
    (225, 120, 185),
    (125, 85, 50),
    (0, 195, 195),
    (150, 90, 220),
    (150, 150, 150),
    (70, 170, 60),
)

_RECORD = 'shapes.json'
_VERSION = 1
_SUPERSAMPLING = 4
_IGNORE = 255

Coordinates = tuple[np.ndarray, np.ndarray]


def make_shapes_dataset(
    root: str | Path,
    *,
    num_train: int,
    num_val: int,
    size_range: tuple[int, int] = (128, 160),
    seed: int = 0,
) -> Path:
    """Make a small data set of shapes in VOC's layout.

    Images go to ``JPEGImages/*.jpg``, indexed label maps with a 255 contour as in VOC, one
    pixel wide, to ``SegmentationClass/*.png``, and the lists of names to
    ``ImageSets/Segmentation/{train,val}.txt``. Each image has three to six shapes that may hide
    parts of each other; trees and rings have parts two to five pixels wide. Colours are drawn at
    random and tell nothing of the class; outline and texture do. The same arguments give the
    same files.

    The folder appears when it is complete. One that was made with the same arguments is kept;
    one made with others is replaced.

    Args:
        root: Folder to make.
        num_train: Images in ``train.txt``.
        num_val: Images in ``val.txt``.
        size_range: Least and greatest side in pixels; height and width are drawn apart.
        seed: Seed, not negative.

    Returns:
        ``root``.

    Raises:
        ValueError: If an argument is out of range.
        FileExistsError: If ``root`` is there, not empty and not made by this function.
    """
    checks.integer('num_train', num_train, 1)
    checks.integer('num_val', num_val, 1)
    checks.integer('seed', seed, 0)
    low, high = size_range
    if not 64 <= low <= high:
        raise ValueError(f'size_range must be (low, high) with 64 <= low <= high, got {size_range}')

    root = Path(root)
    settings = {
        'version': _VERSION,
        'num_train': num_train,
        'num_val': num_val,
        'size_range': [low, high],
        'seed': seed,
    }
    record = root / _RECORD
    if record.is_file():
        if json.loads(record.read_text()) == settings:
            return root
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(
            f'{root} is there and was not made by make_shapes_dataset; '
            'name another folder or remove it'
        )

    with replacing_folder(root) as temporary:
        for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
            (temporary / folder).mkdir(parents=True)
        for split_index, (split, number) in enumerate((('train', num_train), ('val', num_val))):
            names = [f'{split}_{index:05d}' for index in range(number)]
            for index, name in enumerate(names):
                generator = np.random.default_rng([seed, split_index, index])
                image, label_map = draw_shapes(generator, size_range)
                _write_jpeg(temporary / 'JPEGImages' / f'{name}.jpg', image)
                _write_label_map(temporary / 'SegmentationClass' / f'{name}.png', label_map)
            listing = temporary / 'ImageSets' / 'Segmentation' / f'{split}.txt'
            listing.write_text('\n'.join(names) + '\n')
        (temporary / _RECORD).write_text(json.dumps(settings))
    return root


def draw_shapes(
    generator: np.random.Generator, size_range: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image and its label map.

    Args:
        generator: Source of all that is random.
        size_range: Least and greatest side in pixels.

    Returns:
        The image, ``(H, W, 3)`` uint8 RGB, and the labels, ``(H, W)`` uint8 with 255 around the
        shapes.
    """
    height, width = generator.integers(size_range[0], size_range[1] + 1, 2).tolist()
    image = _background(generator, height, width)
    label_map = np.zeros((height, width), dtype=np.uint8)
    number = int(generator.integers(3, 7))
    labels = generator.permutation(np.arange(1, len(SHAPE_CLASSES)))[:number]
    for label in labels.tolist():
        outline, texture = _DRAWERS[label]
        radius = generator.uniform(0.14, 0.27) * min(height, width)
        angle = generator.uniform(0, 2 * np.pi)
        if SHAPE_CLASSES[label] == 'tree':
            radius *= 1.25
            angle = generator.uniform(-0.5, 0.5)
        centre = generator.uniform(0.1, 0.9, 2) * (width, height)
        opacity = _rasterise(outline(generator, radius), centre, angle, height, width)
        along, across = _shape_coordinates(centre, angle, height, width)
        colours = _colour_pair(generator)
        mix = texture(generator, along, across)[..., None]
        paint = colours[0] * (1 - mix) + colours[1] * mix
        image = image * (1 - opacity[..., None]) + paint * opacity[..., None]
        mask = (opacity > 0.5).astype(np.uint8)
        # The contour lies outside the shape, so that parts two pixels wide keep their label.
        around = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        label_map[around > 0] = _IGNORE
        label_map[mask > 0] = label
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    image = image + generator.normal(0, 5, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), label_map


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path, quality=95)


def _write_label_map(path: Path, label_map: np.ndarray) -> None:
    """Write an indexed PNG with the classes' colours, the contour in VOC's cream."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(SHAPE_PALETTE)] = SHAPE_PALETTE
    palette[_IGNORE] = (224, 224, 192)
    picture = Image.fromarray(label_map)
    picture.putpalette(palette.tobytes())
    picture.save(path)


def _colour_pair(generator: np.random.Generator) -> np.ndarray:
    """Draw two RGB colours far enough apart to show a texture, ``(2, 3)``."""
    while True:
        pair = generator.uniform(20, 235, (2, 3))
        if np.abs(pair[0] - pair[1]).mean() > 60:
            return pair


def _background(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Paint a ground of gradients, clouds or broad stripes, ``(H, W, 3)`` float."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    angle = generator.uniform(0, 2 * np.pi)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    kind = generator.integers(3)
    if kind == 0:
        mix = (along - along.min()) / np.ptp(along)
    elif kind == 1:
        coarse = generator.random((height // 16 + 2, width // 16 + 2))
        mix = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        period = generator.uniform(30, 60)
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    first = generator.uniform(30, 225, 3)
    second = np.clip(first + generator.uniform(-70, 70, 3), 0, 255)
    ground = first * (1 - mix[..., None]) + second * mix[..., None]
    grain = generator.normal(0, generator.uniform(2, 12), (height, width, 1))
    return ground + grain


def _shape_coordinates(centre: np.ndarray, angle: float, height: int, width: int) -> Coordinates:
    """Return each pixel's place in the shape's own frame, in pixels, each ``(H, W)``."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    columns, rows = columns - centre[0], rows - centre[1]
    return (
        columns * np.cos(angle) + rows * np.sin(angle),
        rows * np.cos(angle) - columns * np.sin(angle),
    )


def _rasterise(
    polygons: list[np.ndarray], centre: np.ndarray, angle: float, height: int, width: int
) -> np.ndarray:
    """Draw polygons of a shape's frame as opacity 0..1, ``(H, W)``.

    Polygons are united, except that one of negative orientation cuts a hole.
    """
    scale = _SUPERSAMPLING
    canvas = np.zeros((height * scale, width * scale), dtype=np.float32)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for polygon in polygons:
        points = ((polygon @ turn + centre + 0.5) * scale - 0.5).round().astype(np.int32)
        cv2.fillPoly(canvas, [points], 0.0 if _signed_area(polygon) < 0 else 1.0)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _signed_area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def _circle(radius: float) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _bar(start: np.ndarray, end: np.ndarray, thickness: float) -> np.ndarray:
    """Return a rectangle around a line, of positive orientation."""
    direction = (end - start) / np.linalg.norm(end - start)
    side = np.array([-direction[1], direction[0]]) * thickness / 2
    return np.stack([start - side, end - side, end + side, start + side])


def _disc_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    return [_circle(radius)]


def _box_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    half = radius * np.array([1.0, generator.uniform(0.6, 1.0)])
    return [half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])]


def _triangle_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    angles = np.array([0, 1, 2]) * 2 * np.pi / 3 + generator.uniform(-0.25, 0.25, 3)
    return [1.25 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)]


def _star_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    points = int(generator.integers(5, 8))
    angles = np.arange(2 * points) * np.pi / points
    radii = np.where(np.arange(2 * points) % 2 == 0, 1.3 * radius, 0.5 * radius)
    return [radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)]


def _ring_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    hole = _circle(radius - generator.uniform(3, 7))
    return [_circle(radius), hole[::-1]]


def _tree_outline(generator: np.random.Generator, radius: float) -> list[np.ndarray]:
    """A bare tree: a trunk and branches in pairs, two to four pixels wide."""
    foot, top = np.array([0.0, radius]), np.array([0.0, -radius])
    bars = [_bar(foot, top, generator.uniform(3, 4.5))]
    for share in np.linspace(0.35, 0.85, 4) + generator.uniform(-0.04, 0.04, 4):
        fork = foot + share * (top - foot)
        reach = radius * (1.1 - 0.8 * share) * generator.uniform(0.8, 1.2)
        rise = generator.uniform(0.5, 0.9)
        for side in (-1, 1):
            tip = fork + reach * np.array([side, -rise])
            bars.append(_bar(fork, tip, generator.uniform(2, 3)))
    return bars


def _spots(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    period = generator.uniform(6, 9)
    waves = np.cos(2 * np.pi * along / period) * np.cos(2 * np.pi * across / period)
    return np.clip(0.5 + 2 * (waves - 0.2), 0, 1)


def _checks(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    period = generator.uniform(8, 12)
    waves = np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period)
    return (waves > 0).astype(np.float64)


def _stripes(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(2 * np.pi * along / generator.uniform(5, 8))


def _speckle(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    grains = cv2.GaussianBlur(generator.random(along.shape), (0, 0), 0.7)
    return np.clip(0.5 + 4 * (grains - 0.5), 0, 1)


def _sheen(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.cos(np.arctan2(across, along))


def _plain(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return np.zeros_like(along)


_Outline = Callable[[np.random.Generator, float], list[np.ndarray]]
_Texture = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
_DRAWERS: dict[int, tuple[_Outline, _Texture]] = {
    SHAPE_CLASSES.index('disc'): (_disc_outline, _spots),
    SHAPE_CLASSES.index('box'): (_box_outline, _checks),
    SHAPE_CLASSES.index('triangle'): (_triangle_outline, _stripes),
    SHAPE_CLASSES.index('star'): (_star_outline, _speckle),
    SHAPE_CLASSES.index('ring'): (_ring_outline, _sheen),
    SHAPE_CLASSES.index('tree'): (_tree_outline, _plain),
}
