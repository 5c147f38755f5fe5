# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import filecmp
import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_lrr.datasets import make_shapes_dataset
from mmseg_lrr.datasets.shapes_generator import SHAPE_CLASSES, SHAPE_PALETTE


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes') / 'data'
    return make_shapes_dataset(root, num_train=30, num_val=4, seed=5)


def label_maps_of(root, split='train'):
    names = (root / 'ImageSets/Segmentation' / f'{split}.txt').read_text().split()
    return [np.array(Image.open(root / 'SegmentationClass' / f'{name}.png')) for name in names]


def test_layout_and_sizes(shapes):
    assert len(label_maps_of(shapes)) == 30 and len(label_maps_of(shapes, 'val')) == 4
    sides = []
    for name in (shapes / 'ImageSets/Segmentation/train.txt').read_text().split():
        picture = Image.open(shapes / 'JPEGImages' / f'{name}.jpg')
        labels = Image.open(shapes / 'SegmentationClass' / f'{name}.png')
        assert picture.mode == 'RGB' and labels.mode == 'P' and picture.size == labels.size
        assert tuple(labels.getpalette()[3:6]) == SHAPE_PALETTE[1]
        sides += picture.size
    assert min(sides) >= 128 and max(sides) <= 160 and len(set(sides)) > 10


def test_every_class_is_there_often(shapes):
    present = [set(np.unique(label_map)) for label_map in label_maps_of(shapes)]
    for label in range(len(SHAPE_CLASSES)):
        assert sum(label in labels for labels in present) >= 10
    assert all(255 in labels for labels in present)
    assert set().union(*present) == {*range(len(SHAPE_CLASSES)), 255}


def test_contours_part_the_labels(shapes):
    """Different labels never touch; a contour pixel lies next to the shape that it is around."""
    for label_map in label_maps_of(shapes):
        for first, second in (
            (label_map[1:], label_map[:-1]),
            (label_map[:, 1:], label_map[:, :-1]),
        ):
            labelled = (first != 255) & (second != 255)
            assert (first == second)[labelled].all()
        shape = ((label_map != 0) & (label_map != 255)).astype(np.uint8)
        near = cv2.dilate(shape, np.ones((3, 3), np.uint8)) > 0
        # Where a second shape's contour hides the first one's rim, a few pixels are left alone.
        assert near[label_map == 255].mean() > 0.97


def test_trees_and_rings_are_thin(shapes):
    def half_width(label):
        masks = [(label_map == label).astype(np.uint8) for label_map in label_maps_of(shapes)]
        return max(cv2.distanceTransform(mask, cv2.DIST_L2, 5).max() for mask in masks)

    assert half_width(SHAPE_CLASSES.index('ring')) <= 5
    assert half_width(SHAPE_CLASSES.index('tree')) <= 5
    assert half_width(SHAPE_CLASSES.index('disc')) > 15


def test_colour_does_not_tell_the_class(shapes):
    """Mean colours vary more inside a class than class means vary."""
    names = (shapes / 'ImageSets/Segmentation/train.txt').read_text().split()
    colours = {label: [] for label in range(1, len(SHAPE_CLASSES))}
    for name, label_map in zip(names, label_maps_of(shapes), strict=True):
        image = np.array(Image.open(shapes / 'JPEGImages' / f'{name}.jpg'))
        for label in set(np.unique(label_map)) - {0, 255}:
            colours[label].append(image[label_map == label].mean(axis=0))
    within = np.mean([np.std(of_class, axis=0) for of_class in colours.values()])
    between = np.std([np.mean(of_class, axis=0) for of_class in colours.values()], axis=0).mean()
    assert between < 0.5 * within


def test_same_arguments_same_files(tmp_path):
    settings = dict(num_train=3, num_val=2, size_range=(64, 70))
    first = make_shapes_dataset(tmp_path / 'first', **settings, seed=1)
    again = make_shapes_dataset(tmp_path / 'again', **settings, seed=1)
    other = make_shapes_dataset(tmp_path / 'other', **settings, seed=2)
    files = [str(p.relative_to(first)) for p in sorted(first.rglob('*')) if p.is_file()]
    assert len(files) == 2 * 5 + 2 + 1
    assert filecmp.cmpfiles(first, again, files, shallow=False)[0] == files
    pictures = [file for file in files if file.endswith(('.jpg', '.png'))]
    assert filecmp.cmpfiles(first, other, pictures, shallow=False)[1] == pictures


def test_more_images_do_not_change_the_first(tmp_path):
    few = make_shapes_dataset(tmp_path / 'few', num_train=1, num_val=1, size_range=(64, 64))
    many = make_shapes_dataset(tmp_path / 'many', num_train=3, num_val=2, size_range=(64, 64))
    for name in ('train_00000', 'val_00000'):
        assert filecmp.cmp(few / f'JPEGImages/{name}.jpg', many / f'JPEGImages/{name}.jpg', False)


def test_kept_if_made_alike_replaced_if_not(tmp_path):
    root = tmp_path / 'data'
    settings = dict(num_train=1, num_val=1, size_range=(64, 64))
    make_shapes_dataset(root, **settings)
    mark = root / 'mark'
    mark.touch()
    make_shapes_dataset(root, **settings)
    assert mark.exists()
    make_shapes_dataset(root, **settings, seed=9)
    assert not mark.exists()
    assert json.loads((root / 'shapes.json').read_text())['seed'] == 9
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_leaves_a_foreign_folder_alone(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'thesis.tex').touch()
    with pytest.raises(FileExistsError, match='was not made by make_shapes_dataset'):
        make_shapes_dataset(tmp_path / 'data', num_train=1, num_val=1)
    assert (tmp_path / 'data' / 'thesis.tex').exists()


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError('disk full')

    monkeypatch.setattr('mmseg_lrr.datasets.shapes_generator._write_label_map', refuse)
    with pytest.raises(OSError, match='disk full'):
        make_shapes_dataset(tmp_path / 'data', num_train=1, num_val=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_train=0), 'num_train .* got 0'),
        (dict(num_val=0), 'num_val .* got 0'),
        (dict(size_range=(160, 128)), 'size_range'),
        (dict(size_range=(32, 128)), 'size_range'),
        (dict(seed=-1), 'seed .* got -1'),
    ],
)
def test_refuses_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_shapes_dataset(tmp_path / 'data', **{'num_train': 1, 'num_val': 1, **arguments})


def test_dataset_loads(shapes):
    init_default_scope('mmseg')
    dataset = DATASETS.build(
        dict(
            type='ShapesDataset',
            data_root=str(shapes),
            ann_file='ImageSets/Segmentation/val.txt',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
    )
    assert len(dataset) == 4 and dataset.metainfo['classes'] == SHAPE_CLASSES
    sample = dataset[0]
    assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.shape
