# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Dilated and eroded masks against brute force, and on real labels against SciPy and OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets, row_half_widths

from .. import references


def blobs(images: int, height: int, width: int, num_classes: int, *, ignored: float = .1,
          seed: int = 0) -> np.ndarray:
    """Label maps of a few overlapping boxes, with ignored pixels in between."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((images, height, width), np.int64)
    for image in labels:
        for _ in range(6):
            top, left = generator.integers(0, height), generator.integers(0, width)
            down, across = generator.integers(1, 6, 2)
            image[top:top + down, left:left + across] = generator.integers(num_classes)
    labels[generator.random(labels.shape) < ignored] = 255
    return labels


def footprint_of(half_widths: list[int]) -> np.ndarray:
    """Rows' half-widths as a picture."""
    reach = len(half_widths) - 1
    side = max(reach, *half_widths)
    out = np.zeros((2 * side + 1, 2 * side + 1), bool)
    for dy in range(-reach, reach + 1):
        half = half_widths[abs(dy)]
        out[side + dy, side - half:side + half + 1] = True
    return out


def trimmed(footprint: np.ndarray) -> np.ndarray:
    """Without the empty rows and columns around it."""
    rows, columns = np.nonzero(footprint)
    return footprint[rows.min():rows.max() + 1, columns.min():columns.max() + 1]


def assert_targets(actual: tuple, expected: tuple) -> None:
    for got, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted)


# ---------------------------------------------------------------------------- footprints


@pytest.mark.parametrize('radius', [0, 1, 5, 32, 127])
def test_disk(radius: int) -> None:
    np.testing.assert_array_equal(footprint_of(row_half_widths(radius)), references.disk(radius))


@pytest.mark.parametrize('radius', [4, 5, 7, 10, 16, 32, 33, 50])
def test_octagon_is_the_sum_of_its_lines(radius: int) -> None:
    np.testing.assert_array_equal(footprint_of(row_half_widths(radius, 'octagon')),
                                  trimmed(references.matlab_disk(radius)))


@pytest.mark.parametrize(('footprint', 'count'), [('disk', 3209), ('octagon', 3285)])
def test_one_pixel_grows_to_the_footprint(footprint: str, count: int) -> None:
    labels = torch.zeros(1, 80, 90, dtype=torch.int64)
    labels[0, 40, 41] = 1
    dilation, erosion = dilation_erosion_targets(labels, 2, footprint=footprint)
    grown = dilation[0, 1] > 0
    assert grown.sum() == count
    rows, columns = grown.nonzero(as_tuple=True)
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (80, 82)
    # The rest of the image loses as much of its own class.
    assert torch.equal(erosion[0, 0] > 0, ~grown)
    assert (dilation[0, 0] > 0).all() and (erosion[0, 1] < 0).all()


# ---------------------------------------------------------------------------- brute force


@pytest.fixture(params=['CPU', 'other devices'])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU all classes are dilated, some planes at a time; here both ways run on a CPU."""
    if request.param == 'other devices':
        monkeypatch.setattr('mmseg_lrr.ops.dilation_erosion._knows_values', lambda labels: False)
        monkeypatch.setattr('mmseg_lrr.ops.dilation_erosion._GPU_CHUNK', 1 << 10)


@pytest.mark.usefixtures('_way')
@pytest.mark.parametrize('radius', [0, 1, 3, 32])
def test_disk_equals_brute_force(radius: int) -> None:
    labels = blobs(3, 14, 17, 4, seed=radius)
    labels[2] = 255  # all of it background
    assert_targets(  # of five classes, one of them in no image
        dilation_erosion_targets(torch.from_numpy(labels), 5, radius),
        references.dilation_erosion(labels, 5, references.disk(radius)))


@pytest.mark.parametrize('radius', [4, 5, 7])
def test_octagon_equals_brute_force(radius: int) -> None:
    labels = blobs(2, 20, 17, 3, seed=radius)
    assert_targets(
        dilation_erosion_targets(torch.from_numpy(labels), 3, radius, footprint='octagon'),
        references.dilation_erosion(labels, 3, references.matlab_disk(radius)))


@pytest.mark.parametrize('size', [(1, 1), (1, 30), (33, 65)])
@pytest.mark.parametrize('stride', [2, 8])
def test_strides_pick_cell_centres(stride: int, size: tuple[int, int]) -> None:
    labels = blobs(2, *size, 3)
    expected = references.dilation_erosion(labels, 3, references.disk(6))
    picked = []
    for maps in expected:
        flat = references.subsample(maps.reshape(-1, *size), stride)
        picked.append(flat.reshape(2, 3, *flat.shape[1:]))
    actual = dilation_erosion_targets(torch.from_numpy(labels), 3, 6, stride=stride)
    assert_targets(actual, tuple(picked))


@pytest.mark.parametrize('stride', [4])
@pytest.mark.parametrize('radius', [64, 127, 128, 256])
def test_long_radii_on_long_maps(radius: int, stride: int) -> None:
    """Distances fit the small integers that they are kept in."""
    labels = np.zeros((1, 40, 700), np.int64)
    labels[0, 7, 350] = 1
    labels[0, 30, 20:24] = 2
    expected = []
    rows, columns = np.mgrid[0:40, 0:700]
    dilation = -np.ones((1, 3, 40, 700))
    erosion = -np.ones((1, 3, 40, 700))
    near = {}
    for label in range(3):
        near[label] = np.zeros((40, 700), bool)
        seeds = labels[0] == label
        if label == 0:  # never further than a few pixels
            near[label][:] = True
        else:
            for y, x in np.argwhere(seeds):
                near[label] |= (rows - y)**2 + (columns - x)**2 <= radius**2
        dilation[0, label][near[label]] = 1
    erosion[0, 0][(labels[0] == 0) & ~near[1] & ~near[2]] = 1
    for maps in (dilation, erosion):
        expected.append(references.subsample(maps[0], stride)[None])
    assert_targets(
        dilation_erosion_targets(torch.from_numpy(labels), 3, radius, stride=stride),
        tuple(expected))


# ---------------------------------------------------------------------------- rules


def test_outside_the_image() -> None:
    """Not the class for the dilation, the class for the erosion."""
    labels = torch.ones(1, 6, 8, dtype=torch.int64)
    dilation, erosion = dilation_erosion_targets(labels, 3, 4)
    assert (dilation[0, 1] == 1).all() and (erosion[0, 1] == 1).all()
    assert (dilation[0, [0, 2]] == -1).all() and (erosion[0, [0, 2]] == -1).all()
    labels[0, 0, 0] = 0
    dilation, erosion = dilation_erosion_targets(labels, 3, 4)
    near = torch.from_numpy(references.disk(4)[4:, 4:])
    assert torch.equal(dilation[0, 0, :5, :5] > 0, near)
    assert torch.equal(erosion[0, 1, :5, :5] < 0, near)
    assert (erosion[0, 0] == -1).all()  # one pixel has other neighbours


def test_ignored_pixels_are_background() -> None:
    labels = blobs(2, 16, 18, 3, ignored=.3)
    filled = np.where(labels == 255, 0, labels)
    for radius in (1, 4):
        for actual, expected in zip(
                dilation_erosion_targets(torch.from_numpy(labels), 3, radius),
                dilation_erosion_targets(torch.from_numpy(filled), 3, radius), strict=True):
            assert torch.equal(actual, expected)


def test_another_ignore_index() -> None:
    labels = blobs(1, 12, 13, 3)
    signed = np.where(labels == 255, -100, labels)
    for actual, expected in zip(
            dilation_erosion_targets(torch.from_numpy(signed), 3, 3, -100),
            dilation_erosion_targets(torch.from_numpy(labels), 3, 3), strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64])
def test_integer_types_and_layouts(dtype: torch.dtype) -> None:
    labels = torch.from_numpy(blobs(2, 12, 13, 3))
    expected = dilation_erosion_targets(labels, 3, 3)
    turned = labels.to(dtype).transpose(1, 2).contiguous().transpose(1, 2)
    before = turned.clone()
    for actual, wanted in zip(dilation_erosion_targets(turned, 3, 3), expected, strict=True):
        assert torch.equal(actual, wanted)
    assert torch.equal(turned, before)


def test_more_classes_than_one_chunk() -> None:
    """Large maps take the classes a few at a time; images are kept apart."""
    labels = blobs(2, 300, 400, 9, ignored=0)
    dilation, erosion = dilation_erosion_targets(torch.from_numpy(labels), 9, 20, stride=4)
    for n in range(2):
        for c in np.unique(labels[n]):
            mask = labels[n] == c
            for actual, expected in (
                    (dilation, ndimage.distance_transform_edt(~mask) <= 20),
                    (erosion, ndimage.distance_transform_edt(mask) > 20)):
                np.testing.assert_array_equal(actual[n, c].numpy() > 0,
                                              references.subsample(expected[None], 4)[0])


@pytest.mark.parametrize(('options', 'message'), [
    (dict(radius=-1), 'radius .*-1'),
    (dict(radius=3, footprint='octagon'), 'radius .*4.*3'),
    (dict(footprint='square'), "footprint .*disk.*octagon.*'square'"),
])
def test_refuses_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dilation_erosion_targets(torch.zeros(1, 4, 4, dtype=torch.int64), 2, **options)


# ---------------------------------------------------------------------------- real labels


def real_labels(folder: Path) -> list[np.ndarray]:
    """A few of VOC's validation label maps."""
    names = (folder / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[:60:20]
    return [
        np.array(Image.open(folder / 'SegmentationClassAug' / f'{name}.png')) for name in names
    ]


def test_real_labels_with_a_disk(shared_data) -> None:
    for labels in real_labels(shared_data('voc')):
        dilation, erosion = dilation_erosion_targets(torch.from_numpy(labels)[None], 21)
        labels = np.where(labels == 255, 0, labels)
        absent = np.setdiff1d(np.arange(21), labels)
        assert (dilation[0, absent] == -1).all() and (erosion[0, absent] == -1).all()
        for c in np.unique(labels):
            mask = labels == c
            dilated = ndimage.distance_transform_edt(~mask) <= 32
            # Only pixels of the image are "not the class"; with none of them nothing erodes.
            eroded = mask if mask.all() else ndimage.distance_transform_edt(mask) > 32
            np.testing.assert_array_equal(dilation[0, c].numpy() > 0, dilated)
            np.testing.assert_array_equal(erosion[0, c].numpy() > 0, eroded)


def test_real_labels_with_an_octagon(shared_data) -> None:
    kernel = references.octagon32().astype(np.uint8)
    for labels in real_labels(shared_data('voc')):
        targets = dilation_erosion_targets(
            torch.from_numpy(labels)[None], 21, footprint='octagon', stride=8)
        labels = np.where(labels == 255, 0, labels)
        for c in np.unique(labels):
            mask = (labels == c).astype(np.uint8)
            # OpenCV's default border takes no part in either.
            for actual, expected in zip(targets, (cv2.dilate(mask, kernel),
                                                  cv2.erode(mask, kernel)), strict=True):
                np.testing.assert_array_equal(actual[0, c].numpy() > 0,
                                              references.subsample(expected[None], 8)[0] > 0)
