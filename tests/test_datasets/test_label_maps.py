# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset, MultiImageMixDataset
from PIL import Image

from mmseg_lrr.datasets import LabelMaps

RNG = np.random.default_rng(0)
MAPS = {name: RNG.choice(np.array([0, 1, 2, 3, 255], np.uint8), (20 + i, 30))
        for i, name in enumerate('xyz')}


class FourClasses(BaseSegDataset):
    METAINFO = dict(classes=('a', 'b', 'c', 'd'), palette=[[i, i, i] for i in range(4)])

    def get_cat_ids(self, idx: int) -> list[int]:
        return [idx]


def make_dataset(root: Path, maps: dict = MAPS, **kwargs) -> FourClasses:
    """A data set of label maps alone: there are no image files that could be opened."""
    folder = root / 'SegmentationClass'
    folder.mkdir(parents=True, exist_ok=True)
    for name, label_map in maps.items():
        Image.fromarray(label_map).save(folder / f'{name}.png')
    (root / 'train.txt').write_text('\n'.join(maps))
    return FourClasses(
        data_root=str(root), ann_file='train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'), **kwargs)


def assert_same(label_maps: LabelMaps, expected: list[np.ndarray]) -> None:
    assert len(label_maps) == len(label_maps.files) == len(expected)
    for index, one in enumerate(expected):
        np.testing.assert_array_equal(label_maps[index], one)


@pytest.mark.parametrize('lazy_init', [False, True])
def test_looks_through_wrappers(tmp_path: Path, lazy_init: bool) -> None:
    first = make_dataset(tmp_path / 'first', lazy_init=lazy_init)
    label_maps = LabelMaps(first)
    assert_same(label_maps, list(MAPS.values()))
    assert [Path(path).name for path in label_maps.files] == ['x.png', 'y.png', 'z.png']
    other = {'w': MAPS['x'][::-1].copy()}
    second = make_dataset(tmp_path / 'second', other, lazy_init=lazy_init)
    both = ConcatDataset([first, second], lazy_init=lazy_init)
    assert_same(LabelMaps(both), [*MAPS.values(), *other.values()])
    for wrapped in (RepeatDataset(first, times=5, lazy_init=lazy_init),
                    ClassBalancedDataset(first, oversample_thr=0.9, lazy_init=lazy_init),
                    MultiImageMixDataset(ConcatDataset([first]), pipeline=[])):
        assert_same(LabelMaps(wrapped), list(MAPS.values()))


def test_labels_are_mapped_as_in_training(tmp_path: Path) -> None:
    loader = [dict(type='LoadAnnotations')]
    reduced = make_dataset(tmp_path, reduce_zero_label=True, pipeline=loader)
    chosen = make_dataset(tmp_path, metainfo=dict(classes=('d', 'b')))
    both = LabelMaps(ConcatDataset([reduced, chosen],
                                   ignore_keys=['classes', 'palette', 'label_map',
                                                'reduce_zero_label']))
    reducing, choosing = np.full((2, 256), 255)
    reducing[1:4] = (0, 1, 2)
    choosing[1], choosing[3] = 1, 0
    assert_same(both, [table[one] for table in (reducing, choosing) for one in MAPS.values()])
    assert both.mappings == [
        dict(num_files=3, label_map=None, reduce_zero_label=True),
        dict(num_files=3, label_map={0: 255, 1: 1, 2: 255, 3: 0}, reduce_zero_label=False)]
    # The pipeline's own loader is as it was.
    assert reduced.pipeline.transforms[0].reduce_zero_label is None


def test_uses_the_loader_of_the_pipeline(tmp_path: Path) -> None:
    # OpenCV decodes an indexed image to colours, Pillow to its indices.
    dataset = make_dataset(tmp_path, pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', imdecode_backend='cv2')])
    for name, label_map in MAPS.items():
        picture = Image.fromarray(label_map)
        picture.putpalette([7] * 768)
        picture.save(tmp_path / 'SegmentationClass' / f'{name}.png')
    with pytest.raises(ValueError, match=r'x\.png is of shape \(20, 30, 3\); expected one channel'):
        LabelMaps(dataset)[0]
    dataset.pipeline.transforms[1].imdecode_backend = 'pillow'
    assert_same(LabelMaps(dataset), list(MAPS.values()))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    strange = np.full((20, 30), 4, np.uint8)
    label_maps = LabelMaps(make_dataset(tmp_path, {**MAPS, 'y': strange}))
    (tmp_path / 'SegmentationClass' / 'x.png').unlink()
    (tmp_path / 'SegmentationClass' / 'z.png').write_bytes(b'no picture')
    with pytest.raises(FileNotFoundError, match=r'x\.png'):
        label_maps[0]
    with pytest.raises(ValueError, match=r'y\.png holds \[4\], which are not classes'):
        label_maps[1]
    with pytest.raises(ValueError, match=r'cannot read the label map .*z\.png'):
        label_maps[2]
