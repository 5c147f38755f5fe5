# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo's data set."""

import filecmp
from pathlib import Path

import cv2
import numpy as np
import pytest
from demo_shapes import SHAPE_CLASSES, SHAPE_PALETTE, make_shapes_dataset
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image


@pytest.fixture(scope='module')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shapes_dataset(tmp_path_factory.mktemp('shapes'), num_train=30, num_val=4, seed=5)


@pytest.fixture(scope='module')
def label_maps(shapes: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in sorted(shapes.glob('*/train*.png'))]


def test_the_configs_data_set_reads_it(shapes: Path, repo_root: Path) -> None:
    config = Config.fromfile(repo_root / 'configs/lrr/_base_/datasets/shapes.py')
    for loader, number in ((config.train_dataloader, 30), (config.val_dataloader, 4)):
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(shapes)})
        assert len(dataset) == number
        assert tuple(dataset.metainfo['classes']) == SHAPE_CLASSES
        assert tuple(map(tuple, dataset.metainfo['palette'])) == SHAPE_PALETTE
    assert dataset[0]['data_samples'].gt_sem_seg.shape == dataset[0]['data_samples'].ori_shape


def test_sizes_colours_and_classes(shapes: Path, label_maps: list[np.ndarray]) -> None:
    sides = []
    for path in shapes.glob('*/train*.png'):
        labels = Image.open(path)
        assert labels.mode == 'P' and tuple(labels.getpalette()[3:6]) == SHAPE_PALETTE[1]
        assert Image.open(shapes / 'JPEGImages' / f'{path.stem}.jpg').size == labels.size
        sides += labels.size
    assert min(sides) >= 128 and max(sides) <= 160 and len(set(sides)) > 10
    present = [set(np.unique(label_map).tolist()) for label_map in label_maps]
    assert all(sum(label in labels for labels in present) >= 10 for label in [*range(7), 255])
    assert set().union(*present) == {*range(7), 255}


def test_contours_part_the_labels(label_maps: list[np.ndarray]) -> None:
    """Different labels never touch; a contour pixel lies next to the shape that it is around."""
    for label_map in label_maps:
        for turned in (label_map, label_map.T):
            labelled = (turned[1:] != 255) & (turned[:-1] != 255)
            assert (turned[1:] == turned[:-1])[labelled].all()
        shape = ((label_map != 0) & (label_map != 255)).astype(np.uint8)
        near = cv2.dilate(shape, np.ones((3, 3), np.uint8)) > 0
        # Where a second shape's contour hides the first one's rim, a few pixels are left alone.
        assert near[label_map == 255].mean() > 0.97


def test_trees_and_rings_are_thin(label_maps: list[np.ndarray]) -> None:
    for shape, least, most in (('ring', 1, 5), ('tree', 1, 5), ('disc', 15, 99)):
        masks = [(item == SHAPE_CLASSES.index(shape)).astype(np.uint8) for item in label_maps]
        widest = max(cv2.distanceTransform(mask, cv2.DIST_L2, 5).max() for mask in masks)
        assert least <= widest <= most


def test_two_classes_share_a_hue(shapes: Path) -> None:
    """Colour tells three pairs of classes apart, not the classes of a pair."""
    sums = np.zeros(len(SHAPE_CLASSES), complex)
    for path in shapes.glob('*/train*.jpg'):
        hsv = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2HSV).astype(float)
        labels = np.array(Image.open(shapes / 'SegmentationClass' / f'{path.stem}.png'))
        for label in range(len(sums)):
            hue, saturation = hsv[labels == label].T[:2]
            sums[label] += (saturation * np.exp(2j * np.pi * hue / 180)).sum()
    hues = dict(zip(SHAPE_CLASSES, np.rad2deg(np.angle(sums)), strict=True))
    for pair, hue in (('disc ring', 15), ('star tree', 110), ('box triangle', 235)):
        assert all(abs((hues[name] - hue + 180) % 360 - 180) < 25 for name in pair.split())


def test_arguments_decide_the_files(tmp_path: Path) -> None:
    settings = dict(num_train=1, num_val=1, size_range=(64, 70))
    first = make_shapes_dataset(tmp_path / 'first', **settings, seed=1)
    files = [str(p.relative_to(first)) for p in sorted(first.rglob('*')) if p.is_file()]
    assert len(files) == 2 * 2 + 2 + 1
    again = make_shapes_dataset(tmp_path / 'again', **settings, seed=1)
    assert filecmp.cmpfiles(first, again, files, shallow=False)[0] == files
    pictures = [file for file in files if file.endswith(('.jpg', '.png'))]
    # More images do not change the first.
    more = make_shapes_dataset(tmp_path / 'more', **{**settings, 'num_train': 3}, seed=1)
    assert filecmp.cmpfiles(first, more, pictures, shallow=False)[0] == pictures
    # What was made alike is kept, what was not is made anew.
    picture = again / 'JPEGImages' / 'val_00000.jpg'
    picture.unlink()
    make_shapes_dataset(again, **settings, seed=1)
    assert not picture.exists()
    make_shapes_dataset(again, **settings, seed=2)
    assert filecmp.cmpfiles(first, again, pictures, shallow=False)[1] == pictures
