# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Data sets whose files are not there still say what their classes and files are called."""

from pathlib import Path

import mmseg.datasets
import pytest

from mmseg_lrr.datasets.unread_dataset import unread_dataset

# Of the toolbox's data sets that look for their files when they are built, and one that does not.
KINDS = ('PascalVOCDataset', 'PascalContextDataset59', 'DRIVEDataset', 'STAREDataset',
         'ISPRSDataset', 'ADE20KDataset')


@pytest.mark.parametrize('name', KINDS)
def test_it_is_what_the_data_set_itself_is(name: str, tmp_path: Path) -> None:
    kind = getattr(mmseg.datasets, name)
    cfg = dict(type=name, data_root=str(tmp_path / 'data'), ann_file='list.txt',
               data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=[])
    unread = unread_dataset(cfg)
    assert 'lazy_init' not in cfg
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    (tmp_path / 'data' / 'labels').mkdir()
    (tmp_path / 'data' / 'list.txt').write_text('a\n')
    there = kind(**{key: value for key, value in cfg.items() if key != 'type'})
    assert unread.metainfo == there.metainfo and len(unread.metainfo['classes']) > 1
    for attribute in ('img_suffix', 'seg_map_suffix', 'reduce_zero_label', 'label_map'):
        assert getattr(unread, attribute) == getattr(there, attribute), attribute


def test_what_the_config_says_comes_first(tmp_path: Path) -> None:
    unread = unread_dataset(dict(
        type='PascalVOCDataset', data_root=str(tmp_path), ann_file='list.txt', img_suffix='.tif',
        data_prefix=dict(img_path='images'), metainfo=dict(classes=('background', 'cat'))))
    assert unread.img_suffix == '.tif' and unread.seg_map_suffix == '.png'
    assert unread.metainfo['classes'] == ('background', 'cat')
    assert unread.label_map[8] == 1 and unread.label_map[1] == 255
