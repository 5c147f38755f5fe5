# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Cityscapes' labelIds -> trainIds, on the real frames and on small generated ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_lrr.datasets.preparation import prepare_cityscapes

#: labelId -> trainId, written out from the data set's public description of its labels.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
             25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


def save(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


class Frames:
    """Small frames in the published layout."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, part: str, name: str, labels: np.ndarray | None = None) -> np.ndarray:
        kind, split = part.split('/')
        if labels is None:
            rng = np.random.default_rng(list(name.encode()))
            labels = rng.choice([*range(34), 255], (16, 32)).astype(np.uint8)
        save(self.label(part, name, 'labelIds'), labels)
        save(self.root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png',
             np.zeros((*labels.shape, 3), np.uint8))
        return labels

    def label(self, part: str, name: str, ids: str = 'labelTrainIds') -> Path:
        return self.root / part / f'{name}_{part.split("/")[0]}_{ids}.png'

    def prepare(self, parts: list[str] | None = None, **options):
        return prepare_cityscapes(self.root, parts,
                                  **{'workers': 1, 'partial': True, **options})

    @property
    def list(self) -> Path:
        return self.root / 'ImageSets' / 'coarse_train_extra.txt'


@pytest.fixture
def small(tmp_path: Path) -> Frames:
    return Frames(tmp_path / 'cityscapes')


def test_real_frames(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    root = tmp_path / 'cityscapes'
    shutil.copytree(shared_data('cityscapes'), root)
    for path in [root, *root.rglob('*')]:
        path.chmod(0o755)
    report = prepare_cityscapes(root, workers=2, partial=True)
    assert report.exit_status == 0, report.problems
    assert report.counts == {'written': 2}
    for split in ('train', 'val'):
        dataset = DATASETS.build(dict(
            type='CityscapesDataset', data_root=str(root),
            data_prefix=dict(img_path=f'leftImg8bit/{split}', seg_map_path=f'gtFine/{split}'),
            pipeline=[dict(type='mmseg.LoadAnnotations')]))
        (results, ) = dataset
        source = png(Path(results['seg_map_path'].replace('labelTrainIds', 'labelIds')))
        expected = np.full_like(source, 255)
        for label_id, train_id in TRAIN_IDS.items():
            expected[source == label_id] = train_id
        np.testing.assert_array_equal(results['gt_seg_map'], expected)
        assert 5 < len(np.unique(expected)) <= 20
    assert prepare_cityscapes(root, workers=1, partial=True).counts == {'kept': 2}


def test_every_label_id(small: Frames) -> None:
    labels = small.add('gtFine/train', 'a/a_000000_000001',
                       np.array([[*range(34), 255]], np.uint8).repeat(2, axis=0))
    assert small.prepare(['gtFine/train']).exit_status == 0
    found = png(small.label('gtFine/train', 'a/a_000000_000001'))
    expected = [TRAIN_IDS.get(label_id, 255) for label_id in labels[0].tolist()]
    np.testing.assert_array_equal(found, [expected] * 2)


def test_coarse_frames_that_have_no_fine_labels(small: Frames) -> None:
    small.add('gtFine/train', 'a/a_000000_000001')
    small.add('gtFine/val', 'b/b_000000_000001')
    for name in ('c/c_000000_000001', 'c/c_000000_000002', 'a/a_000000_000001'):
        small.add('gtCoarse/train_extra', name)
    small.add('gtCoarse/train', 'a/a_000000_000001')
    report = small.prepare()
    assert report.exit_status == 0, report.problems
    # gtCoarse/train is not learnt from: those frames have fine labels.
    assert report.counts == {'written': 5}
    assert not small.label('gtCoarse/train', 'a/a_000000_000001').exists()
    assert small.list.read_text() == 'c/c_000000_000001\nc/c_000000_000002\n'
    dataset = DATASETS.build(dict(
        type='CityscapesDataset', data_root=str(small.root),
        seg_map_suffix='_gtCoarse_labelTrainIds.png', ann_file='ImageSets/coarse_train_extra.txt',
        data_prefix=dict(img_path='leftImg8bit/train_extra', seg_map_path='gtCoarse/train_extra'),
        pipeline=[dict(type='mmseg.LoadAnnotations')]))
    assert [results['gt_seg_map'].shape for results in dataset] == [(16, 32)] * 2


def test_other_parts_by_name(small: Frames) -> None:
    small.add('gtCoarse/train', 'a/a_000000_000001')
    assert small.prepare(['gtCoarse/train']).counts == {'written': 1}
    with pytest.raises(ValueError, match='gtFine/test'):
        small.prepare(['gtFine/test'])
    with pytest.raises(FileNotFoundError, match='val'):
        small.prepare(['gtFine/val'])
    with pytest.raises(FileNotFoundError, match='gtFine/train'):
        small.prepare()


def test_all_that_is_broken_is_listed(small: Frames) -> None:
    names = [f'a/a_000000_{i:06d}' for i in range(6)]
    for name in names:
        small.add('gtCoarse/train_extra', name)
    part = 'gtCoarse/train_extra'
    images = small.root / 'leftImg8bit' / 'train_extra'
    small.label(part, names[0], 'labelIds').unlink()
    (images / f'{names[1]}_leftImg8bit.png').unlink()
    save(small.label(part, names[2], 'labelIds'), np.full((16, 32), 34, np.uint8))
    save(images / f'{names[3]}_leftImg8bit.png', np.zeros((16, 31, 3), np.uint8))
    path = small.label(part, names[4], 'labelIds')
    path.write_bytes(path.read_bytes()[:60])
    report = small.prepare([part])
    assert report.exit_status == 1 and not small.list.exists()
    assert report.counts == {'written': 1, 'broken': 4}
    expected = {names[0]: 'no labels', names[1]: 'missing', names[2]: '[34]',
                names[3]: '31x16', names[4]: 'cannot be read'}
    problems = {problem.split(':')[0]: problem for problem in report.problems}
    assert problems.keys() == expected.keys()
    for name, part in expected.items():
        assert part in problems[name]


@pytest.mark.parametrize('gone', ['gtFine/train', 'gtFine/val', 'gtCoarse/train_extra'])
def test_a_whole_part_is_missed(small: Frames, gone: str) -> None:
    parts = ['gtFine/train', 'gtFine/val', 'gtCoarse/train_extra']
    for i, part in enumerate(parts):
        small.add(part, f'a/a_000000_{i:06d}')
    assert small.prepare().exit_status == 0
    (small.root / gone).rename(small.root / 'elsewhere')
    report = small.prepare()
    assert report.exit_status == 1 and report.counts == {'kept': 2}
    (problem, ) = report.problems
    assert problem.startswith(f'{gone}: ') and str(small.root / gone) in problem
    parts.remove(gone)
    assert small.prepare(parts).exit_status == 0


def test_half_a_png_is_no_image(small: Frames) -> None:
    name = 'a/a_000000_000001'
    small.add('gtFine/train', name)
    path = small.root / 'leftImg8bit' / 'train' / f'{name}_leftImg8bit.png'
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    assert small.prepare(['gtFine/train']).exit_status == 0
    path.write_bytes(path.read_bytes()[:-400])
    (problem, ) = small.prepare(['gtFine/train']).problems
    assert str(path) in problem and 'cannot be read' in problem


def test_numbers_are_compared_with_the_published_ones(small: Frames) -> None:
    small.add('gtFine/val', 'b/b_000000_000001')
    report = small.prepare(['gtFine/val'], partial=False)
    assert report.exit_status == 1
    assert report.problems == [
        'gtFine/val: 1, but the published data set has 500 (--partial accepts a part of it)']


def test_dry_run_and_resuming(small: Frames) -> None:
    for i in range(4):
        small.add('gtFine/train', f'a/a_000000_{i:06d}')
    parts = ['gtFine/train']
    assert small.prepare(parts, dry_run=True).counts == {'written': 4}
    assert not list(small.root.rglob('*labelTrainIds*'))
    small.prepare(parts, workers=2)
    target = small.label('gtFine/train', 'a/a_000000_000001')
    target.write_bytes(target.read_bytes()[:50])
    report = small.prepare(parts, workers=2)
    assert report.counts == {'kept': 3, 'replaced': 1}
    assert not list(small.root.rglob('.*'))
