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


@pytest.fixture
def prepare(capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, dict[str, int], list[str]]]:
    """Run the command; gives the exit status, the label maps by status, and what it printed."""

    def run(*arguments: object, workers: int = 1) -> tuple[int, dict[str, int], list[str]]:
        status = prepare_data.main([*map(str, arguments), '--workers', str(workers)])
        lines = re.split(r'[\r\n]+', capsys.readouterr().out.strip())
        (counts, ) = (line for line in lines if 'left out' in line)
        counts = re.findall(r'([1-9]\d*) (written|replaced|kept|left out|broken)', counts)
        return status, {name: int(number) for number, name in counts}, lines

    return run


def assert_problems(lines: list[str], expected: dict[str, str]) -> None:
    """Problems, one line each, by what they are of."""
    problems = dict(line.split(': ', 1) for line in lines
                    if not line.startswith(('label maps', 'list', 'problems', 'broken', '[')))
    assert problems.keys() == expected.keys()
    for name, said in expected.items():
        assert said in problems[name]


def save(path: Path, array: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(path)


def png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def first_labels(**dataset) -> np.ndarray:
    """What a data set of mmseg reads first."""
    return DATASETS.build({**dataset, 'pipeline': [dict(type='LoadAnnotations')]})[0]['gt_seg_map']


class Voc:
    """VOC and SBD: 4 training images, 2 of the 736, 1 other of val, 3 only in SBD."""

    def __init__(self, folder: Path) -> None:
        self.root, self.sbd = folder / 'VOC2012', folder / 'SBD' / 'dataset'
        self.lists = self.root / 'ImageSets' / 'Segmentation'
        train, val = ['t0', 't1', 't2', 't3'], ['2007_000033', '2007_000042', 'v0']
        self.only_sbd = ['s0', 's1', 's2']
        self.masks = {name: RNG.choice([0, 1, 20], (20, 30)).astype(np.uint8)
                      for name in [*train, *val, *self.only_sbd]}
        self.lists.mkdir(parents=True)
        (self.sbd / 'cls').mkdir(parents=True)
        for name, mask in self.masks.items():
            save(self.image(name), RNG.integers(0, 256, (20, 30, 3), np.uint8))
            if name in self.only_sbd:
                self.write_mat(name, mask)
            else:
                mask[:2] = 255
                save(self.mask(name), mask, voc_palette())
        # SBD's masks of VOC's own images are other masks, and not used.
        self.write_mat('t0', np.zeros((20, 30), np.uint8))
        for path, names in ((self.lists / 'train', train), (self.lists / 'val', val),
                            (self.sbd / 'train', ['s0', 's1', 't0']),
                            (self.sbd / 'val', ['s2', 'v0', '2007_000033'])):
            path.with_suffix('.txt').write_text('\n'.join(names) + '\n')
        self.command = ('voc', self.root, self.sbd.parent, '--partial')

    def image(self, name: str) -> Path:
        return self.root / 'JPEGImages' / f'{name}.jpg'

    def mask(self, name: str) -> Path:
        return self.root / 'SegmentationClass' / f'{name}.png'

    def target(self, name: str) -> Path:
        return self.root / 'SegmentationClassAug' / f'{name}.png'

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
    assert not voc.target('t0').parent.exists() and len(list(voc.lists.iterdir())) == 2
    assert prepare(*voc.command, workers=2)[:2] == (0, dict(written=10))
    for name, mask in voc.masks.items():
        with Image.open(voc.target(name)) as image:
            assert image.mode == 'P'
            np.testing.assert_array_equal(np.array(image), mask, name)
            colours = np.reshape(image.getpalette(), (-1, 3))
            np.testing.assert_array_equal(colours, voc_palette()[:len(colours)])
    lists = {path.stem: path.read_text() for path in voc.lists.iterdir()}
    assert lists['seg11valid'] == '2007_000033\n2007_000042\n'
    assert lists['lrr_train'].split() == [*voc.only_sbd, 't0', 't1', 't2', 't3', 'v0']
    assert lists['trainaug'].split() == [*voc.only_sbd, 't0', 't1', 't2', 't3']
    assert lists['aug'].split() == voc.only_sbd
    np.testing.assert_array_equal(voc.masks['s0'], first_labels(
        type='PascalVOCDataset', data_root=str(voc.root),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        ann_file='ImageSets/Segmentation/lrr_train.txt'))


def test_it_resumes_and_mends(voc: Voc, prepare: Callable) -> None:
    prepare(*voc.command)
    before = voc.target('s1').stat().st_mtime_ns
    voc.target('t0').unlink()
    voc.target('t1').write_bytes(voc.target('t1').read_bytes()[:100])
    save(voc.target('s0'), np.zeros((20, 30), np.uint8))
    assert prepare(*voc.command)[:2] == (0, dict(kept=7, written=1, replaced=2))
    for name, mask in voc.masks.items():
        np.testing.assert_array_equal(png(voc.target(name)), mask)
    assert voc.target('s1').stat().st_mtime_ns == before


def test_all_that_is_broken_is_listed_and_no_list_written(voc: Voc, prepare: Callable) -> None:
    prepare(*voc.command)
    before = (voc.lists / 'aug.txt').read_text()
    (voc.lists / 'lrr_train.txt').unlink()
    voc.mask('t0').unlink()
    voc.image('t1').unlink()
    half, mat = voc.image('2007_000033'), voc.sbd / 'cls' / 's0.mat'
    for path in (voc.mask('t2'), half, mat):
        path.write_bytes(path.read_bytes()[:-60])
    save(voc.mask('t3'), voc.masks['t3'])
    save(voc.mask('v0'), np.zeros((20, 30), np.uint8), np.array([1, 2, 3], np.uint8))
    voc.write_mat('s1', np.full((20, 30), 30, np.uint8))
    voc.write_mat('s2', voc.masks['s2'][:-1])
    with Image.open(voc.image('2007_000042')) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(voc.image('2007_000042'), exif=exif)
    status, counts, lines = prepare(*voc.command)
    assert status == 1 and counts == dict(broken=10)
    assert_problems(lines, {
        't0': 'No such file', 't1': 'No such file', 't2': 'cannot be read', 't3': 'mode L',
        'v0': '(1, 2, 3)', 's0': str(mat), 's1': '[30]', 's2': '30x19 pixels',
        '2007_000033': f'{half} cannot be read', '2007_000042': 'of 20x30 (EXIF'})
    assert lines[-1] == 'problems: 10; no list was written'
    # An earlier list is not kept in silence.
    assert not (voc.lists / 'lrr_train.txt').exists()
    assert (voc.lists / 'aug.txt').read_text() == before
    assert f'list {voc.lists / "aug.txt"}: kept from an earlier run; it may name broken images' in (
        lines)


def test_numbers_are_compared_with_the_published_ones(voc: Voc, prepare: Callable) -> None:
    status, _, lines = prepare(*voc.command[:-1])
    assert status == 1 and any(
        line.startswith('lrr_train: 8, but the published data set has 11295') for line in lines)
    assert any(line.endswith("of seg11valid, but not in VOC's val list") for line in lines)


def test_splits_of_the_whole_data_set(shared_data: Callable[[str], Path]) -> None:
    """The numbers of the paper out of the published sets' sizes.

    VOC's train names and the 736 are the real ones; the rest are made up, as many as the published
    lists have beyond them.
    """
    lists = shared_data('voc') / 'ImageSets' / 'Segmentation'
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


#: COCO's own numbers of some categories; the numbers have gaps and are in no order of VOC's.
CATEGORIES = {
    'person': 1, 'bicycle': 2, 'car': 3, 'motorcycle': 4, 'airplane': 5, 'bus': 6, 'train': 7,
    'truck': 8, 'boat': 9, 'bird': 16, 'cat': 17, 'dog': 18, 'horse': 19, 'sheep': 20, 'cow': 21,
    'bottle': 44, 'chair': 62, 'couch': 63, 'potted plant': 64, 'dining table': 67, 'tv': 72,
}


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


class Coco:
    """A folder as COCO is published."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.list = root / 'ImageSets' / 'Segmentation' / 'voc20.txt'
        self.command = ('coco', root, '--splits', 'train2017', '--min-area', 1)

    def write(self, split: str, images: dict[str, list]) -> None:
        """Add a split: name of an image of 60x40 -> instances (category, segmentation)."""
        entries, annotations = [], []
        for number, (name, instances) in enumerate(images.items(), 100):
            save(self.root / split / f'{name}.jpg', np.zeros((40, 60, 3), np.uint8))
            entries.append(dict(file_name=f'{name}.jpg', height=40, width=60, id=number))
            annotations += [
                dict(segmentation=segmentation, image_id=number, category_id=CATEGORIES[category])
                for category, segmentation in instances]
        path = self.root / 'annotations' / f'instances_{split}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dict(
            images=entries, annotations=annotations,
            categories=[dict(id=number, name=name) for name, number in CATEGORIES.items()])))


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    pytest.importorskip('pycocotools', reason='pycocotools (extra "coco") is not installed')
    return Coco(tmp_path / 'coco')


def test_coco_names_are_in_vocs_order() -> None:
    same = {'airplane': 'aeroplane', 'dining table': 'diningtable', 'motorcycle': 'motorbike',
            'potted plant': 'pottedplant', 'couch': 'sofa', 'tv': 'tvmonitor'}
    expected = PascalVOCDataset.METAINFO['classes'][1:]
    assert tuple(same.get(name, name) for name in prepare_data.COCO_NAMES) == expected


def test_polygons_crowds_and_overlaps(coco: Coco, prepare: Callable) -> None:
    from pycocotools import mask
    crowd = np.zeros((40, 60), np.uint8, order='F')
    crowd[:10, 10:20] = 1
    # As the library packs run lengths; and column by column, zeros first, of the crowd upside down.
    packed = mask.encode(crowd)
    packed['counts'] = packed['counts'].decode()
    plain = dict(size=[40, 60], counts=[430, 10] + [30, 10] * 9 + [1600])
    coco.write('train2017', {'a': [
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
    assert prepare(*coco.command, workers=2)[:2] == (0, dict(written=2))
    assert coco.list.read_text() == 'train2017/a\ntrain2017/b\n'
    folder = coco.root / 'SegmentationClassVOC' / 'train2017'
    np.testing.assert_array_equal(png(folder / 'b.png'), 17 * crowd)
    np.testing.assert_array_equal(expected, first_labels(
        type='PascalVOCDataset', data_root=str(coco.root),
        data_prefix=dict(img_path='.', seg_map_path='SegmentationClassVOC'),
        ann_file='ImageSets/Segmentation/voc20.txt'))


def test_images_are_chosen_by_labelled_area(coco: Coco, prepare: Callable) -> None:
    coco.write('train2017', {
        'enough': [('cat', box(0, 0, 10, 10))],
        'little': [('cat', box(0, 0, 9, 11))],
        # 200 covered pixels, of which 100 are void and 100 labelled.
        'void': [('cat', box(0, 0, 10, 20)), ('dog', box(0, 0, 10, 10))],
        'other': [('truck', box(0, 0, 60, 40))],
        'empty': []})
    coco.write('val2017', {'last': [('dog', box(0, 0, 40, 40))]})
    assert prepare('coco', coco.root, '--min-area', 100)[:2] == (0, {'written': 3, 'left out': 1})
    assert coco.list.read_text().split() == ['train2017/enough', 'train2017/void', 'val2017/last']
    status, _, lines = prepare('coco', coco.root, '--min-area', 5000)
    assert status == 1 and 'there is no label map' in lines


def test_partial_leaves_broken_images_out_of_the_list(coco: Coco, prepare: Callable) -> None:
    bus = ('bus', box(0, 0, 9, 9))
    coco.write('train2017', {
        'a': [bus], 'gone': [bus], 'large': [bus], 'line': [bus, ('bus', [[1, 1, 5, 5]])],
        'none': [('bus', [])], 'runs': [('bus', dict(size=[8, 8], counts=[0, 64]))]})
    (coco.root / 'train2017' / 'gone.jpg').unlink()
    save(coco.root / 'train2017' / 'large.jpg', np.zeros((41, 60, 3), np.uint8))
    status, counts, lines = prepare(*coco.command)
    assert status == 1 and counts == dict(written=1, broken=5) and not coco.list.exists()
    assert_problems(lines, {
        'train2017/gone': 'gone.jpg', 'train2017/large': '60x41', 'train2017/line': 'three x, y',
        'train2017/none': '', 'train2017/runs': ''})
    status, _, lines = prepare(*coco.command, '--partial')
    assert status == 0 and coco.list.read_text() == 'train2017/a\n'
    assert 'broken or missing, and in no list: 5' in lines


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
    found = first_labels(
        type='CityscapesDataset', data_root=str(root),
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'))
    np.testing.assert_array_equal(
        found, np.vectorize(lambda label_id: TRAIN_IDS.get(label_id, 255))(png(source)))


class Frames:
    """Small frames of Cityscapes in the published layout, with every labelId."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.list = root / 'ImageSets' / 'coarse_train_extra.txt'

    def add(self, part: str, *names: str) -> None:
        for name in names:
            save(self.label(part, name, 'labelIds'), np.array([[*range(34), 255]] * 2, np.uint8))
            save(self.image(part, name), np.zeros((2, 35, 3), np.uint8))

    def image(self, part: str, name: str) -> Path:
        return self.root / 'leftImg8bit' / part.split('/')[1] / f'{name}_leftImg8bit.png'

    def label(self, part: str, name: str, ids: str = 'labelTrainIds') -> Path:
        return self.root / part / f'{name}_{part.split("/")[0]}_{ids}.png'


def test_coarse_frames_that_have_no_fine_labels(tmp_path: Path, prepare: Callable) -> None:
    frames, part = Frames(tmp_path), 'gtCoarse/train_extra'
    frames.add('gtFine/train', 'a/a_000000_000001')
    frames.add('gtFine/val', 'b/b_000000_000001')
    names = ['c/c_000000_000001', 'c/c_000000_000002']
    frames.add(part, *names, 'a/a_000000_000001')
    frames.add('gtCoarse/train', 'a/a_000000_000001')
    command = ('cityscapes', frames.root, '--partial')
    assert prepare(*command)[:2] == (0, dict(written=5))
    # gtCoarse/train is not learnt from: those frames have fine labels.
    assert not frames.label('gtCoarse/train', 'a/a_000000_000001').exists()
    expected = [TRAIN_IDS.get(label_id, 255) for label_id in [*range(34), 255]]
    np.testing.assert_array_equal(png(frames.label(part, names[0])), [expected] * 2)
    assert frames.list.read_text().split() == names
    assert prepare(*command, '--parts', 'gtCoarse/train')[1] == dict(written=1)
    # A whole part is missed, and accepted if it is not asked for.
    (frames.root / 'gtFine/val').rename(frames.root / 'elsewhere')
    status, counts, lines = prepare(*command)
    assert status == 1 and counts == dict(kept=4)
    assert_problems(lines, {'gtFine/val': str(frames.root / 'gtFine/val')})
    assert prepare(*command, '--parts', 'gtFine/train', part)[0] == 0


def test_all_that_is_broken_in_cityscapes_is_listed(tmp_path: Path, prepare: Callable) -> None:
    frames, part = Frames(tmp_path), 'gtCoarse/train_extra'
    names = [f'a/a_000000_{i:06d}' for i in range(5)]
    frames.add(part, *names)
    frames.label(part, names[0], 'labelIds').unlink()
    frames.image(part, names[1]).unlink()
    save(frames.label(part, names[2], 'labelIds'), np.full((2, 35), 34, np.uint8))
    save(frames.image(part, names[3]), np.zeros((2, 34, 3), np.uint8))
    status, counts, lines = prepare('cityscapes', frames.root, '--parts', part)
    assert status == 1 and not frames.list.exists() and counts == dict(written=1, broken=3)
    assert_problems(lines, {
        names[0]: 'no labels', names[1]: 'cannot be read', names[2]: '[34]', names[3]: '34x2',
        part: '4, but the published data set has 19998'})
