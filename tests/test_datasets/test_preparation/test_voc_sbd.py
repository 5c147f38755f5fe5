# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""VOC + SBD, on real masks laid out as the two published archives are."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image
from scipy.io import savemat

from mmseg_lrr.datasets.preparation import prepare_voc_sbd, voc_sbd
from mmseg_lrr.evaluation.label_png import voc_palette


def write_list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(names) + '\n')


def write_mat(path: Path, labels: np.ndarray) -> None:
    """A file as SBD's ``cls/*.mat``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((20, 1), object)
    boundaries[:] = [[np.zeros(labels.shape, np.uint8)]]
    savemat(path, {'GTcls': {
        'Boundaries': boundaries, 'Segmentation': labels.astype(np.uint8),
        'CategoriesPresent': np.setdiff1d(labels, [0]).astype(np.uint8)[:, None]}},
        do_compression=True)


def png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(folder.rglob('*')) if path.is_file()}


class Archives:
    """A few real images in the layout of the archives; SBD also has some of VOC's own images."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.voc = folder / 'VOCdevkit' / 'VOC2012'
        self.sbd = folder / 'benchmark_RELEASE'
        lists = source / 'ImageSets' / 'Segmentation'
        names = {path.stem: path.read_text().split() for path in lists.glob('*.txt')}
        here = [*names['mini_train'], *names['mini_val']]
        self.train = [name for name in here if name in names['train_labels_only']][:6]
        self.val = [name for name in here if name in names['seg11valid']][:5]
        voc = {*names['train_labels_only'], *names['seg11valid']}
        self.only_sbd = [name for name in here if name not in voc][:8]
        # SBD's masks of VOC's own images are other masks: half of the classes' pixels.
        self.both = [self.train[0], self.val[0]]
        self.images = [*self.train, *self.val, *self.only_sbd]
        for name in self.images:
            (self.voc / 'JPEGImages').mkdir(parents=True, exist_ok=True)
            shutil.copy(source / 'JPEGImages' / f'{name}.jpg', self.voc / 'JPEGImages')
        self.masks = {}
        for name in self.images:
            original = source / 'SegmentationClassAug' / f'{name}.png'
            self.masks[name] = png(original)
            if name not in self.only_sbd:
                (self.voc / 'SegmentationClass').mkdir(exist_ok=True)
                shutil.copy(original, self.voc / 'SegmentationClass')
            if name in self.only_sbd or name in self.both:
                mask = np.where(self.masks[name] == 255, 0, self.masks[name])
                if name in self.both:
                    mask[::2] = 0
                else:
                    self.masks[name] = mask
                write_mat(self.sbd / 'dataset' / 'cls' / f'{name}.mat', mask)
        write_list(self.voc / 'ImageSets/Segmentation/train.txt', self.train)
        write_list(self.voc / 'ImageSets/Segmentation/val.txt', self.val)
        write_list(self.sbd / 'dataset/train.txt', self.only_sbd[:5] + self.both[:1])
        write_list(self.sbd / 'dataset/val.txt', self.only_sbd[5:] + self.both[1:])

    def prepare(self, **options):
        return prepare_voc_sbd(self.voc, self.sbd, **{'workers': 1, 'partial': True, **options})

    @property
    def lists(self) -> Path:
        return self.voc / 'ImageSets' / 'Segmentation'

    def list(self, name: str) -> list[str]:
        return (self.lists / f'{name}.txt').read_text().split()

    def target(self, name: str) -> Path:
        return self.voc / 'SegmentationClassAug' / f'{name}.png'


@pytest.fixture
def archives(tmp_path: Path, shared_data: Callable[[str], Path]) -> Archives:
    return Archives(tmp_path, shared_data('voc'))


@pytest.mark.parametrize('workers', [1, 2])
def test_real_masks_in_one_folder(archives: Archives, workers: int) -> None:
    report = archives.prepare(workers=workers)
    assert report.exit_status == 0, report.problems
    assert report.counts == {'written': 19}
    for name in archives.images:
        with Image.open(archives.target(name)) as image:
            assert image.mode == 'P'
            np.testing.assert_array_equal(np.array(image), archives.masks[name], name)
            colours = np.reshape(image.getpalette(), (-1, 3))
            np.testing.assert_array_equal(colours, voc_palette()[:len(colours)])
    assert not list(archives.voc.rglob('.*'))
    assert archives.list('seg11valid') == sorted(archives.val)
    assert archives.list('lrr_train') == sorted(archives.train + archives.only_sbd)
    assert archives.list('trainaug') == sorted(archives.train + archives.only_sbd)
    assert archives.list('aug') == sorted(archives.only_sbd)


def test_the_toolbox_reads_what_was_made(archives: Archives) -> None:
    archives.prepare()
    dataset = DATASETS.build(dict(
        type='PascalVOCDataset', data_root=str(archives.voc),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        ann_file='ImageSets/Segmentation/lrr_train.txt',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]))
    assert len(dataset) == 14
    for results in dataset:
        name = Path(results['img_path']).stem
        np.testing.assert_array_equal(results['gt_seg_map'], archives.masks[name])
        assert results['img'].shape[:2] == results['gt_seg_map'].shape


def test_dry_run_writes_nothing(archives: Archives, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    report = archives.prepare(dry_run=True)
    assert report.counts == {'written': 19} and report.exit_status == 0
    assert snapshot(tmp_path) == before
    assert sum('not written' in line for line in report.lines()) == 4


def test_resumes_and_mends(archives: Archives) -> None:
    archives.prepare()
    before = snapshot(archives.voc)
    assert archives.prepare().counts == {'kept': 19}
    after = snapshot(archives.voc / 'SegmentationClassAug')
    assert after == {name.split(os.sep, 1)[1]: item for name, item in before.items()
                     if name.startswith('SegmentationClassAug')}
    missing, half, other = archives.images[0], archives.images[6], archives.images[12]
    archives.target(missing).unlink()
    archives.target(half).write_bytes(archives.target(half).read_bytes()[:200])
    # What the toolbox's converter would have left: SBD's mask of one of VOC's own images.
    wrong = archives.masks[other].copy()
    wrong[0, 0] ^= 1
    Image.fromarray(wrong).save(archives.target(other))
    assert archives.prepare().counts == {'kept': 16, 'written': 1, 'replaced': 2}
    for name in archives.images:
        np.testing.assert_array_equal(png(archives.target(name)), archives.masks[name])


def spoil_palette(archives: Archives) -> str:
    """Number the palette anew, as image tools do: the colours stay what they were."""
    name = archives.train[1]
    path = archives.voc / 'SegmentationClass' / f'{name}.png'
    mask = png(path)
    present = np.unique(mask)
    image = Image.fromarray(np.searchsorted(present, mask).astype(np.uint8))
    image.putpalette(voc_palette()[present].tobytes())
    image.save(path)
    assert not np.array_equal(png(path), mask)
    return name


def test_classes_go_by_colour(archives: Archives) -> None:
    name = spoil_palette(archives)
    assert archives.prepare().exit_status == 0
    np.testing.assert_array_equal(png(archives.target(name)), archives.masks[name])


def test_all_that_is_broken_is_listed_and_no_list_written(archives: Archives) -> None:
    voc, sbd = archives.voc, archives.sbd / 'dataset' / 'cls'
    no_mask, no_image, truncated, grey, colour = *archives.train[1:4], *archives.val[1:3]
    (voc / 'SegmentationClass' / f'{no_mask}.png').unlink()
    (voc / 'JPEGImages' / f'{no_image}.jpg').unlink()
    path = voc / 'SegmentationClass' / f'{truncated}.png'
    path.write_bytes(path.read_bytes()[:300])
    Image.fromarray(archives.masks[grey]).save(voc / 'SegmentationClass' / f'{grey}.png')
    image = Image.fromarray(np.zeros_like(archives.masks[colour]))
    image.putpalette(bytes([1, 2, 3]))
    image.save(voc / 'SegmentationClass' / f'{colour}.png')
    no_mat, no_struct, strange, size, cut = archives.only_sbd[:5]
    (sbd / f'{no_mat}.mat').unlink()
    savemat(sbd / f'{no_struct}.mat', {'GTcls': np.eye(3)})
    write_mat(sbd / f'{strange}.mat', np.full_like(archives.masks[strange], 30))
    write_mat(sbd / f'{size}.mat', archives.masks[size][:-1])
    (sbd / f'{cut}.mat').write_bytes((sbd / f'{cut}.mat').read_bytes()[:150])
    report = archives.prepare()
    assert report.exit_status == 1
    assert report.counts == {'broken': 10, 'written': 9}
    expected = {no_mask: 'missing', no_image: 'missing', truncated: 'cannot be read',
                grey: 'mode L', colour: '(1, 2, 3)', no_mat: 'missing', no_struct: 'GTcls',
                strange: '0..20', size: 'pixels', cut: str(sbd / f'{cut}.mat')}
    problems = {problem.split(':')[0]: problem for problem in report.problems}
    assert problems.keys() == expected.keys()
    for name, part in expected.items():
        assert part in problems[name]
    assert sorted(path.name for path in archives.lists.iterdir()) == ['train.txt', 'val.txt']
    assert report.lines()[-1] == 'problems: 10; no list was written'


def test_an_earlier_list_is_not_kept_in_silence(archives: Archives) -> None:
    archives.prepare()
    before = archives.list('lrr_train')
    (archives.voc / 'JPEGImages' / f'{archives.train[0]}.jpg').unlink()
    report = archives.prepare()
    assert archives.list('lrr_train') == before
    path = archives.lists / 'lrr_train.txt'
    assert report.lines()[-5:] == [
        *(f'list {path.with_stem(name)}: kept from an earlier run; it may name broken images'
          for name in ('lrr_train', 'seg11valid', 'trainaug', 'aug')),
        'problems: 1; no list was written']


def test_images_are_read_to_their_end(archives: Archives) -> None:
    """A photograph cut short, and one that training sees turned by its EXIF orientation."""
    half, turned, upright = archives.train[:3]
    path = archives.voc / 'JPEGImages' / f'{half}.jpg'
    path.write_bytes(path.read_bytes()[:-2000])
    for name, orientation in ((turned, 6), (upright, 3)):
        path = path.with_stem(name)
        with Image.open(path) as image:
            exif = image.getexif()
            exif[0x0112] = orientation
            image.save(path, exif=exif)
            width, height = image.size
        if name == turned:
            assert width != height
            size = f'{turned}.jpg of {height}x{width} as its EXIF orientation turns it'
    report = archives.prepare()
    problems = {problem.split(':')[0]: problem for problem in report.problems}
    assert problems.keys() == {half, turned}
    assert 'truncated' in problems[half] and f'{half}.jpg' in problems[half]
    assert problems[turned].endswith(size)


def test_numbers_are_compared_with_the_published_ones(archives: Archives) -> None:
    report = archives.prepare(partial=False)
    assert report.exit_status == 1
    assert any('lrr_train: 14, but the published data set has 11295' in problem
               for problem in report.problems)
    assert not (archives.lists / 'lrr_train.txt').exists()


@pytest.mark.parametrize('name', ['../outside', '/etc/passwd', 'a/b', '..', '.hidden', 'a\\b', 'ü'])
def test_names_cannot_leave_the_folder(archives: Archives, tmp_path: Path, name: str) -> None:
    write_list(archives.sbd / 'dataset' / 'val.txt', [name])
    before = snapshot(tmp_path)
    with pytest.raises(ValueError, match=r'val\.txt'):
        archives.prepare()
    assert snapshot(tmp_path) == before


def test_lists_are_checked(archives: Archives) -> None:
    write_list(archives.lists / 'train.txt', archives.train + archives.train[:1])
    with pytest.raises(ValueError, match=archives.train[0]):
        archives.prepare()
    (archives.lists / 'train.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'train\.txt'):
        archives.prepare()


def test_package_has_the_736_names(shared_data: Callable[[str], Path]) -> None:
    names = voc_sbd.seg11valid()
    assert len(names) == len(set(names)) == 736
    assert names == (
        shared_data('voc') / 'ImageSets/Segmentation/seg11valid.txt').read_text().split()


def test_split_of_the_whole_data_set(shared_data: Callable[[str], Path]) -> None:
    """The numbers of the paper out of the published sets' sizes.

    VOC's train names and the 736 are the real ones, and so are the other names that are at hand;
    the rest are made up, as many as the published lists have beyond them.
    """
    lists = shared_data('voc') / 'ImageSets' / 'Segmentation'
    real = {path.stem: path.read_text().split() for path in lists.glob('*.txt')}
    train, valid = real['train_labels_only'], voc_sbd.seg11valid()
    val = [*valid, *(f'val_{i:05d}' for i in range(1449 - 736))]
    voc = {*train, *val}
    new = [name for name in [*real['mini_train'], *real['mini_val']] if name not in voc]
    new += [f'sbd_{i:05d}' for i in range(9118 - len(new))]
    # SBD has 11,355 images, of which 2,237 are VOC's too; none of the 736 is in its train list,
    # but many are in its val list.
    sbd = [*new, *train[:1000], *val[:1237]]
    assert len(sbd) == 11355 and not set(new) & voc
    splits = voc_sbd.make_splits(train, val, sbd, valid)
    sizes = {name: len(names) for name, names in splits.items()}
    assert sizes == {'lrr_train': 11295, 'seg11valid': 736, 'trainaug': 10582, 'aug': 9118}
    assert len(voc | set(sbd)) == 12031
    assert not splits['lrr_train'] & splits['seg11valid']
    assert not splits['trainaug'] & splits['seg11valid']
    assert splits['trainaug'] < splits['lrr_train']
    assert voc_sbd.PUBLISHED == {'VOC train': len(train), 'VOC val': len(val),
                                 'SBD train + val': len(sbd), 'label maps': 12031, **sizes}
