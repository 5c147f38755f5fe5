# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset, MultiImageMixDataset
from PIL import Image
from torch.utils.data import Subset

from mmseg_lrr.datasets.label_maps import LabelMaps


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


class FourClasses(BaseSegDataset):
    METAINFO = dict(classes=('a', 'b', 'c', 'd'), palette=[[i, i, i] for i in range(4)])

    def get_cat_ids(self, idx):
        return [idx]


def make_dataset(root, maps, **kwargs):
    """A data set of label maps alone: there are no image files that could be opened."""
    folder = root / 'SegmentationClass'
    folder.mkdir(parents=True, exist_ok=True)
    for name, label_map in maps.items():
        Image.fromarray(label_map).save(folder / f'{name}.png')
    (root / 'train.txt').write_text('\n'.join(maps))
    arguments = dict(
        data_root=str(root),
        ann_file='train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
    )
    return FourClasses(**{**arguments, **kwargs})


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    values = np.array([0, 1, 2, 3, 255], dtype=np.uint8)
    return {name: rng.choice(values, (20 + i, 30)) for i, name in enumerate(('x', 'y', 'z'))}


def assert_same(label_maps, expected):
    assert len(label_maps) == len(expected)
    for index, one in enumerate(expected):
        np.testing.assert_array_equal(label_maps[index], one)


@pytest.mark.parametrize('lazy_init', [False, True])
def test_reads_the_files_of_the_list(tmp_path, maps, lazy_init):
    label_maps = LabelMaps(make_dataset(tmp_path, maps, lazy_init=lazy_init))
    assert_same(label_maps, list(maps.values()))
    assert [path.rsplit('/', 1)[1] for path in label_maps.files] == ['x.png', 'y.png', 'z.png']


def test_reduces_the_zero_label(tmp_path, maps):
    label_maps = LabelMaps(make_dataset(tmp_path, maps, reduce_zero_label=True))
    table = np.arange(256)
    table[:4], table[255] = (255, 0, 1, 2), 255
    assert_same(label_maps, [table[one] for one in maps.values()])


def test_maps_chosen_classes(tmp_path, maps):
    label_maps = LabelMaps(make_dataset(tmp_path, maps, metainfo=dict(classes=('d', 'b'))))
    table = np.full(256, 255)
    table[1], table[3] = 1, 0
    assert_same(label_maps, [table[one] for one in maps.values()])


def test_uses_the_loader_of_the_pipeline(tmp_path, maps):
    # OpenCV decodes an indexed image to colours, Pillow to its indices.
    dataset = make_dataset(
        tmp_path,
        maps,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', imdecode_backend='cv2'),
            dict(type='RandomFlip', prob=1.0),
        ],
    )
    for name, label_map in maps.items():
        picture = Image.fromarray(label_map)
        picture.putpalette([7] * 768)
        picture.save(tmp_path / 'SegmentationClass' / f'{name}.png')
    with pytest.raises(ValueError, match=r'x\.png must have one channel .* \(20, 30, 3\)'):
        LabelMaps(dataset)[0]
    dataset.pipeline.transforms[1].imdecode_backend = 'pillow'
    assert_same(LabelMaps(dataset), list(maps.values()))


def test_leaves_the_loader_of_the_pipeline_as_it_was(tmp_path, maps):
    dataset = make_dataset(
        tmp_path, maps, reduce_zero_label=True, pipeline=[dict(type='LoadAnnotations')]
    )
    LabelMaps(dataset)[0]
    assert dataset.pipeline.transforms[0].reduce_zero_label is None


@pytest.mark.parametrize('lazy_init', [False, True])
def test_looks_through_wrappers(tmp_path, maps, lazy_init):
    first = make_dataset(tmp_path / 'first', maps, lazy_init=lazy_init)
    other = {'w': maps['x'][::-1].copy()}
    second = make_dataset(tmp_path / 'second', other, lazy_init=lazy_init)
    expected = [*maps.values(), *other.values()]
    assert_same(LabelMaps(ConcatDataset([first, second], lazy_init=lazy_init)), expected)
    repeated = RepeatDataset(first, times=5, lazy_init=lazy_init)
    assert_same(LabelMaps(repeated), list(maps.values()))
    balanced = ClassBalancedDataset(first, oversample_thr=0.9, lazy_init=lazy_init)
    assert_same(LabelMaps(balanced), list(maps.values()))


def test_looks_through_a_mix_of_wrappers(tmp_path, maps):
    inner = ConcatDataset([make_dataset(tmp_path, maps)])
    mixed = MultiImageMixDataset(inner, pipeline=[dict(type='Resize', scale=(32, 32))])
    assert_same(LabelMaps(mixed), list(maps.values()))


def test_each_wrapped_dataset_keeps_its_own_mapping(tmp_path, maps):
    plain = make_dataset(tmp_path, maps)
    reduced = make_dataset(tmp_path, maps, reduce_zero_label=True)
    both = ConcatDataset([plain, reduced], ignore_keys=['reduce_zero_label'])
    label_maps = LabelMaps(both)
    np.testing.assert_array_equal(label_maps[0], maps['x'])
    assert label_maps[3].max() == 255 and not np.array_equal(label_maps[3], maps['x'])
    assert [mapping['reduce_zero_label'] for mapping in label_maps.mappings] == [False, True]


def test_names_a_missing_file(tmp_path, maps):
    dataset = make_dataset(tmp_path, maps)
    (tmp_path / 'SegmentationClass' / 'y.png').unlink()
    label_maps = LabelMaps(dataset)
    with pytest.raises(FileNotFoundError, match=r'is missing: .*y\.png'):
        label_maps[1]


def test_names_a_broken_file(tmp_path, maps):
    dataset = make_dataset(tmp_path, maps)
    (tmp_path / 'SegmentationClass' / 'y.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'cannot read label map .*y\.png'):
        LabelMaps(dataset)[1]


def test_refuses_an_empty_list(tmp_path):
    with pytest.raises(ValueError, match='lists no files'):
        LabelMaps(make_dataset(tmp_path, {}, serialize_data=False))


def test_refuses_images_without_labels(tmp_path, maps):
    dataset = make_dataset(tmp_path, maps, data_prefix=dict(img_path='JPEGImages'))
    with pytest.raises(ValueError, match=r'no label map \(seg_map_path\) for image .*x\.jpg'):
        LabelMaps(dataset)


def test_refuses_what_has_no_list(tmp_path, maps):
    with pytest.raises(TypeError, match='list has no get_data_info'):
        LabelMaps([1, 2])
    with pytest.raises(TypeError, match='Subset'):
        LabelMaps(Subset(make_dataset(tmp_path, maps), [0]))
