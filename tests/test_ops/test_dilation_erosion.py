# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Dilated and eroded masks against brute force, and on real labels against SciPy and OpenCV."""

from collections.abc import Callable
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


@pytest.mark.parametrize('radius', [0, 1, 5, 32])
def test_disk(radius: int) -> None:
    np.testing.assert_array_equal(footprint_of(row_half_widths(radius)), references.disk(radius))


@pytest.mark.parametrize('radius', [4, 5, 7, 16, 32, 33])
def test_octagon_is_the_sum_of_its_lines(radius: int) -> None:
    np.testing.assert_array_equal(footprint_of(row_half_widths(radius, 'octagon')),
                                  trimmed(references.matlab_disk(radius)))


# ---------------------------------------------------------------------------- brute force


@pytest.fixture(params=['CPU', 'other devices'])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU all classes are dilated, some planes at a time; here both ways run on a CPU."""
    if request.param == 'other devices':
        monkeypatch.setattr('mmseg_lrr.ops.dilation_erosion._knows_values', lambda labels: False)
        monkeypatch.setattr('mmseg_lrr.ops.dilation_erosion._GPU_CHUNK', 1 << 10)


@pytest.mark.usefixtures('_way')
@pytest.mark.parametrize('void', ['ignore', 'class0'])
@pytest.mark.parametrize('radius', [0, 1, 3, 32])
def test_disk_equals_brute_force(radius: int, void: str) -> None:
    labels = blobs(4, 14, 17, 4, seed=radius)
    labels[1, :, 1:] = 255  # hardly any of it labelled
    labels[3] = 255  # none of it
    assert_targets(  # of five classes, one of them in no image
        dilation_erosion_targets(torch.from_numpy(labels), 5, radius, void=void),
        references.dilation_erosion(labels, 5, references.disk(radius), void))


def test_octagon_equals_brute_force() -> None:
    radius = 5
    labels = blobs(2, 20, 17, 3)
    assert_targets(
        dilation_erosion_targets(torch.from_numpy(labels), 3, radius, footprint='octagon'),
        references.dilation_erosion(labels, 3, references.matlab_disk(radius)))


@pytest.mark.parametrize('size, stride', [((1, 1), 8), ((1, 30), 2), ((33, 65), 8)])
def test_strides_pick_cell_centres(size: tuple[int, int], stride: int) -> None:
    labels = blobs(2, *size, 3)
    expected = references.dilation_erosion(labels, 3, references.disk(6))
    picked = []
    for maps in expected:
        flat = references.subsample(maps.reshape(-1, *size), stride)
        picked.append(flat.reshape(2, 3, *flat.shape[1:]))
    actual = dilation_erosion_targets(torch.from_numpy(labels), 3, 6, stride=stride)
    assert_targets(actual, tuple(picked))


@pytest.mark.parametrize('radius', [127, 128, 256])
def test_long_radii_on_long_maps(radius: int) -> None:
    """Distances fit the small integers that they are kept in."""
    labels = np.zeros((1, 40, 700), np.int64)
    labels[0, 7, 350] = 1
    labels[0, 30, 20:24] = 2
    rows, columns = np.mgrid[0:40, 0:700]
    near = np.ones((3, 40, 700), bool)  # to class 0 it is never further than a few pixels
    for label in (1, 2):
        places = np.argwhere(labels[0] == label)
        near[label] = np.any([(rows - y)**2 + (columns - x)**2 <= radius**2 for y, x in places], 0)
    apart = np.zeros_like(near)
    apart[0] = (labels[0] == 0) & ~near[1] & ~near[2]
    assert_targets(dilation_erosion_targets(torch.from_numpy(labels), 3, radius, stride=4), tuple(
        references.subsample(np.where(maps, 1, -1), 4)[None] for maps in (near, apart)))


# ---------------------------------------------------------------------------- rules


def test_outside_the_image() -> None:
    """Not the class for the dilation, the class for the erosion."""
    dilation, erosion = dilation_erosion_targets(torch.ones(1, 6, 8, dtype=torch.int64), 3, 4)
    assert (dilation[0, 1] == 1).all() and (erosion[0, 1] == 1).all()
    assert (dilation[0, [0, 2]] == -1).all() and (erosion[0, [0, 2]] == -1).all()


@pytest.mark.parametrize('ignore_index', [-100, 200, 70000])
def test_another_ignore_index(ignore_index: int) -> None:
    labels = blobs(1, 12, 13, 3)
    given = np.where(labels == 255, ignore_index, labels)
    for actual, expected in zip(
            dilation_erosion_targets(torch.from_numpy(given), 3, 3, ignore_index),
            dilation_erosion_targets(torch.from_numpy(labels), 3, 3), strict=True):
        assert torch.equal(actual, expected)


def test_bytes_in_another_layout() -> None:
    labels = torch.from_numpy(blobs(2, 12, 13, 3))
    turned = labels.byte().transpose(1, 2).contiguous().transpose(1, 2)
    for actual, wanted in zip(dilation_erosion_targets(turned, 3, 3),
                              dilation_erosion_targets(labels, 3, 3), strict=True):
        assert torch.equal(actual, wanted)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(radius=-1), 'radius .*-1'),
    (dict(footprint='square'), "footprint .*disk.*octagon.*'square'"),
    (dict(void='background'), "void .*ignore.*class0.*'background'"),
])
def test_refuses_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dilation_erosion_targets(torch.zeros(1, 4, 4, dtype=torch.int64), 2, **options)


# ---------------------------------------------------------------------------- real labels


@pytest.mark.parametrize(('footprint', 'void'), [
    ('disk', 'ignore'), ('disk', 'class0'), ('octagon', 'class0')])
def test_real_labels(shared_data: Callable[[str], Path], footprint: str, void: str) -> None:
    """SciPy's distances for the disk, OpenCV's morphology for the octagon."""
    folder = shared_data('voc')
    names = (folder / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[:60:20]
    for name in names:
        labels = np.array(Image.open(folder / 'SegmentationClassAug' / f'{name}.png'))
        dilation, erosion = dilation_erosion_targets(
            torch.from_numpy(labels)[None], 21, footprint=footprint, stride=2, void=void)
        labels = labels if void == 'ignore' else np.where(labels == 255, 0, labels)
        here = references.subsample(labels[None], 2)[0] != 255
        absent = np.setdiff1d(np.arange(21), labels)
        for targets in (dilation, erosion):
            assert (targets[0, absent] == -torch.from_numpy(here).float()).all()
        for c in np.setdiff1d(labels, 255):
            mask = labels == c
            if footprint == 'disk':
                dilated = ndimage.distance_transform_edt(~mask) <= 32
                # Only pixels of the image are "not the class"; with none of them nothing erodes.
                others = ~mask & (labels != 255)
                eroded = mask & (ndimage.distance_transform_edt(~others) > 32) if (
                    others.any()) else mask
            else:  # OpenCV's default border takes no part in either
                dilated, eroded = (morph(mask.astype(np.uint8), references.octagon32().astype(
                    np.uint8)) > 0 for morph in (cv2.dilate, cv2.erode))
            for actual, expected in ((dilation, dilated), (erosion, eroded)):
                sampled = references.subsample(np.where(expected, 1, -1)[None], 2)[0]
                np.testing.assert_array_equal(actual[0, c].numpy(), sampled * here)
