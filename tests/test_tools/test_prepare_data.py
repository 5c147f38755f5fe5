# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Data sets as published -> label maps and lists, on small archives."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import prepare_data
import pytest
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS
from PIL import Image
from scipy.io import savemat

from mmseg_lrr.evaluation.label_png import voc_palette

RNG = np.random.default_rng(0)
LISTS = Path('ImageSets/Segmentation')


@pytest.fixture
def prepare(capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, dict, dict, list[str]]]:
    """Run the command; gives exit status, label maps by status, problems by name, all lines."""

    def run(*arguments: object, workers: int = 1) -> tuple[int, dict, dict, list[str]]:
        status = prepare_data.main([*map(str, arguments), '--workers', str(workers)])
        lines = re.split(r'[\r\n]+', capsys.readouterr().out.strip())
        (counts, ) = (line for line in lines if 'left out' in line)
        counts = re.findall(r'([1-9]\d*) (written|replaced|kept|left out|broken)', counts)
        problems = dict(line.split(': ', 1) for line in lines if not line.startswith(
            ('label maps', 'list', 'problems', 'broken', 'there is', '[')))
        return status, {name: int(number) for number, name in counts}, problems, lines

    return run


def said(problems: dict[str, str], expected: dict[str, str]) -> bool:
    return problems.keys() == expected.keys() and all(
        text in problems[name] for name, text in expected.items())


def save(path: Path, array: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(path)


def first_labels(**dataset) -> np.ndarray:
    """What a data set of mmseg reads first."""
    return DATASETS.build({**dataset, 'pipeline': [dict(type='LoadAnnotations')]})[0]['gt_seg_map']


class Voc:
    """VOC and SBD: 4 training images, 2 of the 736, 1 other of val, 3 only in SBD."""

    def __init__(self, folder: Path) -> None:
        self.root, self.sbd = folder / 'VOC2012', folder / 'SBD' / 'dataset'
        self.command = ('voc', self.root, self.sbd.parent, '--partial')
        train, val = ['t0', 't1', 't2', 't3'], ['2007_000033', '2007_000042', 'v0']
        self.masks = {name: RNG.choice([0, 1, 20], (20, 30)).astype(np.uint8)
                      for name in [*train, *val, 's0', 's1', 's2']}
        (self.root / LISTS).mkdir(parents=True)
        (self.sbd / 'cls').mkdir(parents=True)
        for name, mask in self.masks.items():
            save(self.image(name), RNG.integers(0, 256, (20, 30, 3), np.uint8))
            if name.startswith('s'):
                self.write_mat(name, mask)
            else:
                mask[:2] = 255
                save(self.mask(name), mask, voc_palette())
        # SBD's masks of VOC's own images are other masks, and not used.
        self.write_mat('t0', np.zeros((20, 30), np.uint8))
        for path, names in (
                (self.root / LISTS / 'train', train), (self.root / LISTS / 'val', val),
                (self.sbd / 'train', ['s0', 's1', 't0']),
                (self.sbd / 'val', ['s2', 'v0', '2007_000033'])):
            path.with_suffix('.txt').write_text('\n'.join(names) + '\n')

    def image(self, name: str) -> Path:
        return self.root / 'JPEGImages' / f'{name}.jpg'

    def mask(self, name: str, folder: str = 'SegmentationClass') -> Path:
        return self.root / folder / f'{name}.png'

    def target(self, name: str) -> Path:
        return self.mask(name, 'SegmentationClassAug')

    def write_mat(self, name: str, labels: np.ndarray) -> None:
        savemat(self.sbd / 'cls' / f'{name}.mat', {'GTcls': {
            'Boundaries': np.zeros((20, 1), object), 'Segmentation': labels,
            'CategoriesPresent': np.ones((1, 1), np.uint8)}}, do_compression=True)


@pytest.fixture
def voc(tmp_path: Path) -> Voc:
    return Voc(tmp_path)


def test_voc_and_sbd_in_one_folder(voc: Voc, prepare: Callable) -> None:
    # Image tools number a palette anew: the colours stay what they were.
    present, indices = np.unique(voc.masks['t1'], return_inverse=True)
    save(voc.mask('t1'), indices.reshape(20, 30).astype(np.uint8), voc_palette()[present])
    assert prepare(*voc.command, '--dry-run')[:2] == (0, dict(written=10))
    assert not voc.target('t0').parent.exists()
    assert len(list((voc.root / LISTS).iterdir())) == 2
    assert prepare(*voc.command, workers=2)[:2] == (0, dict(written=10))
    for name, mask in voc.masks.items():
        with Image.open(voc.target(name)) as image:
            assert image.mode == 'P'
            np.testing.assert_array_equal(np.array(image), mask, name)
            colours = np.reshape(image.getpalette(), (-1, 3))
            np.testing.assert_array_equal(colours, voc_palette()[:len(colours)])
    lists = {path.stem: path.read_text().split() for path in (voc.root / LISTS).iterdir()}
    assert lists['seg11valid'] == ['2007_000033', '2007_000042']
    assert lists['lrr_train'] == ['s0', 's1', 's2', 't0', 't1', 't2', 't3', 'v0']
    assert lists['trainaug'] == ['s0', 's1', 's2', 't0', 't1', 't2', 't3']
    assert lists['aug'] == ['s0', 's1', 's2']
    np.testing.assert_array_equal(voc.masks['s0'], first_labels(
        type='PascalVOCDataset', data_root=str(voc.root), ann_file=f'{LISTS}/lrr_train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')))


def test_it_resumes_and_mends_and_compares_numbers(voc: Voc, prepare: Callable) -> None:
    prepare(*voc.command)
    before = voc.target('s1').stat().st_mtime_ns
    voc.target('t0').unlink()
    voc.target('t1').write_bytes(voc.target('t1').read_bytes()[:100])
    save(voc.target('s0'), np.zeros((20, 30), np.uint8))
    assert prepare(*voc.command)[:2] == (0, dict(kept=7, written=1, replaced=2))
    for name, mask in voc.masks.items():
        np.testing.assert_array_equal(Image.open(voc.target(name)), mask)
    assert voc.target('s1').stat().st_mtime_ns == before
    status, counts, problems, lines = prepare(*voc.command[:-1])
    assert status == 1 and counts == dict(kept=10)
    assert problems['lrr_train'].startswith('8, but the published data set has 11295')
    assert any(line.endswith("of seg11valid, but not in VOC's val list") for line in lines)


def test_all_that_is_broken_is_listed_and_no_list_written(voc: Voc, prepare: Callable) -> None:
    prepare(*voc.command)
    kept = voc.root / LISTS / 'aug.txt'
    before = kept.read_text()
    (voc.root / LISTS / 'lrr_train.txt').unlink()
    voc.mask('t0').unlink()
    voc.image('t1').unlink()
    half, mat = voc.image('2007_000033'), voc.sbd / 'cls' / 's0.mat'
    for path in (voc.mask('t2'), half, mat):
        path.write_bytes(path.read_bytes()[:-60])
    save(voc.mask('v0'), np.zeros((20, 30), np.uint8), np.array([1, 2, 3], np.uint8))
    voc.write_mat('s2', voc.masks['s2'][:-1])
    with Image.open(voc.image('2007_000042')) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(voc.image('2007_000042'), exif=exif)
    status, counts, problems, lines = prepare(*voc.command)
    assert status == 1 and counts == dict(broken=8, kept=2)
    assert said(problems, {
        't0': 'No such file', 't1': 'No such file', 't2': 'cannot be read', 'v0': '(1, 2, 3)',
        's0': f'{mat} cannot be read', 's2': '30x19 pixels', '2007_000033': f'{half} cannot be',
        '2007_000042': 'of 20x30 (EXIF'})
    assert lines[-1] == 'problems: 8; no list was written'
    # An earlier list is not kept in silence.
    assert not (voc.root / LISTS / 'lrr_train.txt').exists() and kept.read_text() == before
    assert f'list {kept}: kept from an earlier run; it may name broken images' in lines


def test_splits_of_the_whole_data_set(shared_data: Callable[[str], Path]) -> None:
    """The numbers of the paper out of the published sets' sizes.

    VOC's train names and the 736 are the real ones; the rest are made up, as many as the published
    lists have beyond them.
    """
    lists = shared_data('voc') / LISTS
    train = prepare_data.read_names(lists / 'train_labels_only.txt')
    valid = prepare_data.read_names(Path(prepare_data.__file__).with_name('seg11valid.txt'))
    assert valid == prepare_data.read_names(lists / 'seg11valid.txt')
    val = valid | {f'val_{i:05d}' for i in range(1449 - 736)}
    # SBD has 11,355 images, of which 2,237 are VOC's too.
    sbd = {f'sbd_{i:05d}' for i in range(9118)} | {*sorted(train)[:1000], *sorted(val)[:1237]}
    splits = prepare_data.make_splits(train, val, sbd, valid)
    sizes = {name: len(names) for name, names in splits.items()}
    assert sizes == {'lrr_train': 11295, 'seg11valid': 736, 'trainaug': 10582, 'aug': 9118}
    assert not splits['lrr_train'] & valid and splits['trainaug'] < splits['lrr_train']
    assert {'VOC train': len(train), 'VOC val': len(val), 'SBD train + val': len(sbd),
            'label maps': len(train | val | sbd), **sizes}.items() <= prepare_data.PUBLISHED.items()


#: COCO's own numbers have gaps and are in no order of VOC's.
CATEGORIES = {name: 3 * number for number, name in enumerate(
    ['truck', *sorted(prepare_data.COCO_NAMES, reverse=True)], 1)}


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def write_coco(root: Path, split: str, images: dict[str, list]) -> None:
    """Add a split as published: name of an image of 60x40 -> instances (category, segmentation)."""
    entries, annotations = [], []
    for number, (name, instances) in enumerate(images.items(), 100):
        save(root / split / f'{name}.jpg', np.zeros((40, 60, 3), np.uint8))
        entries.append(dict(file_name=f'{name}.jpg', height=40, width=60, id=number))
        annotations += [
            dict(segmentation=segmentation, image_id=number, category_id=CATEGORIES[category])
            for category, segmentation in instances]
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(dict(
        images=entries, annotations=annotations,
        categories=[dict(id=number, name=name) for name, number in CATEGORIES.items()])))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    pytest.importorskip('pycocotools', reason='pycocotools (extra "coco") is not installed')
    return tmp_path / 'coco'


def test_coco_names_are_in_vocs_order() -> None:
    same = {'airplane': 'aeroplane', 'dining table': 'diningtable', 'motorcycle': 'motorbike',
            'potted plant': 'pottedplant', 'couch': 'sofa', 'tv': 'tvmonitor'}
    expected = PascalVOCDataset.METAINFO['classes'][1:]
    assert tuple(same.get(name, name) for name in prepare_data.COCO_NAMES) == expected


def test_polygons_crowds_and_overlaps(coco: Path, prepare: Callable) -> None:
    from pycocotools import mask
    crowd = np.zeros((40, 60), np.uint8, order='F')
    crowd[:10, 10:20] = 1
    # As the library packs run lengths; and column by column, zeros first, of the crowd upside down.
    packed = mask.encode(crowd)
    packed['counts'] = packed['counts'].decode()
    plain = dict(size=[40, 60], counts=[430, 10] + [30, 10] * 9 + [1600])
    write_coco(coco, 'train2017', {'a': [
        ('person', box(0, 0, 10, 10)),
        ('person', box(5, 0, 15, 10)),  # the same class: no conflict
        ('dog', box(10, 5, 20, 15)),  # over a person
        ('truck', box(0, 0, 60, 40)),  # none of the 20 classes
        ('tv', box(30, 20, 40, 25) + box(50, 20, 60, 25)),  # two parts
        ('sheep', plain), ('cat', box(12, 32, 14, 34)), ('sheep', plain),  # void once and for all
    ], 'b': [('sheep', packed)]})
    expected = np.zeros((40, 60), np.uint8)
    expected[:10, :15] = 15
    expected[5:15, 10:20] = 12
    expected[5:10, 10:15] = 255
    expected[20:25, 30:40] = expected[20:25, 50:60] = 20
    expected[30:, 10:20] = 17
    expected[32:34, 12:14] = 255
    assert prepare('coco', coco, '--splits', 'train2017', '--min-area', 1, workers=2)[:2] == (
        0, dict(written=2))
    assert (coco / LISTS / 'voc20.txt').read_text() == 'train2017/a\ntrain2017/b\n'
    np.testing.assert_array_equal(
        Image.open(coco / 'SegmentationClassVOC/train2017/b.png'), 17 * crowd)
    np.testing.assert_array_equal(expected, first_labels(
        type='PascalVOCDataset', data_root=str(coco), ann_file=f'{LISTS}/voc20.txt',
        data_prefix=dict(img_path='.', seg_map_path='SegmentationClassVOC')))


def test_images_are_chosen_by_labelled_area(coco: Path, prepare: Callable) -> None:
    write_coco(coco, 'train2017', {
        'enough': [('cat', box(0, 0, 10, 10))],
        'little': [('cat', box(0, 0, 9, 11))],
        # 200 covered pixels, of which 100 are void and 100 labelled.
        'void': [('cat', box(0, 0, 10, 20)), ('dog', box(0, 0, 10, 10))],
        'other': [('truck', box(0, 0, 60, 40))],
        'empty': []})
    write_coco(coco, 'val2017', {'last': [('dog', box(0, 0, 40, 40))]})
    assert prepare('coco', coco, '--min-area', 100)[:2] == (0, {'written': 3, 'left out': 1})
    assert (coco / LISTS / 'voc20.txt').read_text().split() == [
        'train2017/enough', 'train2017/void', 'val2017/last']
    status, *_, lines = prepare('coco', coco, '--min-area', 5000)
    assert status == 1 and 'there is no label map' in lines


def test_partial_leaves_broken_images_out_of_the_list(coco: Path, prepare: Callable) -> None:
    command = ('coco', coco, '--splits', 'train2017', '--min-area', 1)
    bus, runs = ('bus', box(0, 0, 9, 9)), ('bus', dict(size=[8, 8], counts=[0, 64]))
    write_coco(coco, 'train2017', {'a': [bus], 'gone': [bus], 'large': [bus], 'runs': [runs]})
    (coco / 'train2017' / 'gone.jpg').unlink()
    save(coco / 'train2017' / 'large.jpg', np.zeros((41, 60, 3), np.uint8))
    status, counts, problems, _ = prepare(*command)
    assert status == 1 and counts == dict(written=1, broken=3)
    assert not (coco / LISTS / 'voc20.txt').exists()
    assert said(problems, {
        'train2017/gone': 'gone.jpg', 'train2017/large': '60x41', 'train2017/runs': ''})
    status, *_, lines = prepare(*command, '--partial')
    assert status == 0 and (coco / LISTS / 'voc20.txt').read_text() == 'train2017/a\n'
    assert 'broken or missing, and in no list: 3' in lines


#: labelId -> trainId, written out from the data set's public description of its labels.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
             25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


def test_real_frames_of_cityscapes(tmp_path: Path, shared_data: Callable,
                                   prepare: Callable) -> None:
    root = tmp_path / 'cityscapes'
    shutil.copytree(shared_data('cityscapes'), root)
    for path in [root, *root.rglob('*')]:
        path.chmod(0o755)
    assert prepare('cityscapes', root, '--partial')[:2] == (0, dict(written=2))
    (source, ) = (root / 'gtFine' / 'val').glob('*/*_labelIds.png')
    expected = np.vectorize(lambda label_id: TRAIN_IDS.get(label_id, 255))(Image.open(source))
    np.testing.assert_array_equal(expected, first_labels(
        type='CityscapesDataset', data_root=str(root),
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')))


def label(root: Path, part: str, name: str, ids: str = 'labelTrainIds') -> Path:
    return root / part / f'{name}_{part.split("/")[0]}_{ids}.png'


def photo(root: Path, part: str, name: str) -> Path:
    return root / 'leftImg8bit' / part.split('/')[1] / f'{name}_leftImg8bit.png'


def add_frames(root: Path, part: str, *names: str) -> None:
    """Add small frames of Cityscapes in the published layout, with every labelId."""
    for name in names:
        save(label(root, part, name, 'labelIds'), np.array([[*range(34), 255]] * 2, np.uint8))
        save(photo(root, part, name), np.zeros((2, 35, 3), np.uint8))


def test_coarse_frames_that_have_no_fine_labels(tmp_path: Path, prepare: Callable) -> None:
    part, fine = 'gtCoarse/train_extra', 'a/a_000000_000001'
    names = ['c/c_000000_000001', 'c/c_000000_000002']
    add_frames(tmp_path, 'gtFine/train', fine)
    add_frames(tmp_path, 'gtFine/val', 'b/b_000000_000001')
    add_frames(tmp_path, part, *names, fine)
    add_frames(tmp_path, 'gtCoarse/train', fine)
    command = ('cityscapes', tmp_path, '--partial')
    assert prepare(*command)[:2] == (0, dict(written=5))
    # gtCoarse/train is not learnt from: those frames have fine labels.
    assert not label(tmp_path, 'gtCoarse/train', fine).exists()
    expected = [TRAIN_IDS.get(label_id, 255) for label_id in [*range(34), 255]]
    np.testing.assert_array_equal(Image.open(label(tmp_path, part, names[0])), [expected] * 2)
    assert (tmp_path / 'ImageSets/coarse_train_extra.txt').read_text().split() == names
    assert prepare(*command, '--parts', 'gtCoarse/train')[1] == dict(written=1)
    # A whole part is missed, and accepted if it is not asked for.
    (tmp_path / 'gtFine/val').rename(tmp_path / 'elsewhere')
    status, counts, problems, _ = prepare(*command)
    assert status == 1 and counts == dict(kept=4)
    assert said(problems, {'gtFine/val': str(tmp_path / 'gtFine/val')})
    assert prepare(*command, '--parts', 'gtFine/train', part)[0] == 0


def test_all_that_is_broken_in_cityscapes_is_listed(tmp_path: Path, prepare: Callable) -> None:
    part, names = 'gtCoarse/train_extra', [f'a/a_000000_{i:06d}' for i in range(4)]
    add_frames(tmp_path, part, *names)
    label(tmp_path, part, names[0], 'labelIds').unlink()
    photo(tmp_path, part, names[1]).unlink()
    save(photo(tmp_path, part, names[2]), np.zeros((2, 34, 3), np.uint8))
    status, counts, problems, _ = prepare('cityscapes', tmp_path, '--parts', part)
    assert status == 1 and counts == dict(written=1, broken=2)
    assert not (tmp_path / 'ImageSets/coarse_train_extra.txt').exists()
    assert said(problems, {
        names[0]: 'no labels', names[1]: 'cannot be read', names[2]: '34x2',
        part: '3, but the published data set has 19998'})
