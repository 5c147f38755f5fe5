# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""COCO -> VOC, on generated files in COCO's own format."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_lrr.datasets.preparation import prepare_coco
from mmseg_lrr.datasets.preparation.coco_to_voc import COCO_NAMES, draw_instances, run_lengths

pytest.importorskip('pycocotools', reason='pycocotools (extra "coco") is not installed')

#: COCO's own numbers of some categories; the numbers have gaps and are in no order of VOC's.
CATEGORIES = {
    'person': 1, 'bicycle': 2, 'car': 3, 'motorcycle': 4, 'airplane': 5, 'bus': 6, 'train': 7,
    'truck': 8, 'boat': 9, 'bird': 16, 'cat': 17, 'dog': 18, 'horse': 19, 'sheep': 20, 'cow': 21,
    'bottle': 44, 'chair': 62, 'couch': 63, 'potted plant': 64, 'dining table': 67, 'tv': 72,
}


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def runs(mask: np.ndarray) -> dict:
    """Uncompressed run lengths as COCO's crowds: column by column, zeros first."""
    counts, value = [], False
    for pixel in mask.T.ravel():
        if not counts or bool(pixel) != value:
            if not counts and pixel:
                counts.append(0)
            counts.append(0)
            value = bool(pixel)
        counts[-1] += 1
    return dict(size=list(mask.shape), counts=counts)


class Coco:
    """A folder as COCO is published."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, split: str, images: dict[str, tuple[int, int, list]]) -> None:
        """Add a split: file name -> height, width, instances (category, segmentation)."""
        entries, annotations = [], []
        (self.root / split).mkdir(parents=True, exist_ok=True)
        for number, (file_name, (height, width, instances)) in enumerate(images.items(), 100):
            Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(
                self.root / split / file_name)
            entries.append(dict(
                license=3, file_name=file_name, height=height, width=width, id=number,
                coco_url='', date_captured='2013-11-17 10:05:24', flickr_url=''))
            for category, segmentation in instances:
                annotations.append(dict(
                    segmentation=segmentation, area=1.0, image_id=number, bbox=[0, 0, 1, 1],
                    iscrowd=int(isinstance(segmentation, dict)),
                    category_id=CATEGORIES[category], id=len(annotations)))
        path = self.root / 'annotations' / f'instances_{split}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dict(
            info={}, licenses=[], images=entries, annotations=annotations,
            categories=[dict(supercategory='', id=number, name=name)
                        for name, number in CATEGORIES.items()])))

    def prepare(self, splits: tuple[str, ...] = ('train2017', ), **options):
        return prepare_coco(self.root, splits, **{'workers': 1, 'min_area': 1, **options})

    def labels(self, name: str) -> np.ndarray:
        with Image.open(self.root / 'SegmentationClassVOC' / f'{name}.png') as image:
            assert image.mode == 'P'
            return np.array(image)

    @property
    def list(self) -> Path:
        return self.root / 'ImageSets' / 'Segmentation' / 'voc20.txt'


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path / 'coco')


def test_names_are_in_vocs_order() -> None:
    same = {'airplane': 'aeroplane', 'dining table': 'diningtable', 'motorcycle': 'motorbike',
            'potted plant': 'pottedplant', 'couch': 'sofa', 'tv': 'tvmonitor'}
    expected = PascalVOCDataset.METAINFO['classes'][1:]
    assert tuple(same.get(name, name) for name in COCO_NAMES) == expected


def test_polygons_crowds_and_overlaps(coco: Coco) -> None:
    crowd = np.zeros((40, 60), bool)
    crowd[30:, 10:20] = True
    coco.write('train2017', {'000000000009.jpg': (40, 60, [
        ('person', box(0, 0, 10, 10)),
        ('person', box(5, 0, 15, 10)),  # the same class: no conflict
        ('dog', box(10, 5, 20, 15)),  # over a person
        ('truck', box(0, 0, 60, 40)),  # none of the 20 classes
        ('tv', box(30, 20, 40, 25) + box(50, 20, 60, 25)),  # two parts
        ('sheep', runs(crowd)),
    ])})
    expected = np.zeros((40, 60), np.uint8)
    expected[:10, :15] = 15
    expected[5:15, 10:20] = 12
    expected[5:10, 10:15] = 255
    expected[20:25, 30:40] = expected[20:25, 50:60] = 20
    expected[30:, 10:20] = 17
    report = coco.prepare()
    assert report.exit_status == 0, report.problems
    np.testing.assert_array_equal(coco.labels('train2017/000000000009'), expected)
    assert coco.list.read_text() == 'train2017/000000000009\n'


def test_three_classes_on_one_pixel_are_void() -> None:
    one = box(0, 0, 4, 4)
    labels = draw_instances([(1, one, 0), (2, one, 1), (1, one, 2), (3, one, 3)], (6, 6))
    expected = np.zeros((6, 6), np.uint8)
    expected[:4, :4] = 255
    np.testing.assert_array_equal(labels, expected)


def test_order_of_the_instances_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    instances = []
    for i in range(12):
        left, top = rng.integers(0, 20, 2).tolist()
        instances.append((int(rng.integers(1, 5)), box(left, top, left + 9, top + 7), i))
    expected = draw_instances(instances, (30, 30))
    for _ in range(5):
        shuffled = [instances[i] for i in rng.permutation(len(instances))]
        np.testing.assert_array_equal(draw_instances(shuffled, (30, 30)), expected)


def test_images_are_chosen_by_labelled_area(coco: Coco) -> None:
    images = {
        'enough.jpg': (40, 40, [('cat', box(0, 0, 10, 10))]),
        'little.jpg': (40, 40, [('cat', box(0, 0, 9, 11))]),
        # 200 covered pixels, of which 100 are void and 100 labelled.
        'void.jpg': (40, 40, [('cat', box(0, 0, 10, 20)), ('dog', box(0, 0, 10, 10))]),
        'other.jpg': (40, 40, [('truck', box(0, 0, 40, 40))]),
        'empty.jpg': (40, 40, []),
    }
    coco.write('train2017', images)
    coco.write('val2017', {'last.jpg': (40, 40, [('dog', box(0, 0, 40, 40))])})
    report = coco.prepare(('train2017', 'val2017'), min_area=100)
    assert report.exit_status == 0
    assert coco.list.read_text().split() == ['train2017/enough', 'train2017/void', 'val2017/last']
    assert report.counts == {'written': 3, 'left out': 1}
    assert not (coco.root / 'SegmentationClassVOC' / 'train2017' / 'little.png').exists()


def test_the_toolbox_reads_what_was_made(coco: Coco) -> None:
    coco.write('train2017', {f'{i:012d}.jpg': (30, 20 + i, [('bus', box(0, 0, 9, 9))])
                             for i in range(3)})
    coco.prepare()
    dataset = DATASETS.build(dict(
        type='PascalVOCDataset', data_root=str(coco.root),
        data_prefix=dict(img_path='.', seg_map_path='SegmentationClassVOC'),
        ann_file='ImageSets/Segmentation/voc20.txt',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]))
    assert len(dataset) == 3
    for results in dataset:
        assert results['img'].shape[:2] == results['gt_seg_map'].shape
        assert np.unique(results['gt_seg_map']).tolist() == [0, 6]


@pytest.mark.parametrize('workers', [1, 2])
def test_resumes(coco: Coco, workers: int) -> None:
    coco.write('train2017', {f'{i:012d}.jpg': (30, 30, [('bus', box(0, 0, 9, i + 1))])
                             for i in range(12)})
    dry = coco.prepare(dry_run=True, workers=workers)
    assert dry.counts == {'written': 12}
    assert not (coco.root / 'SegmentationClassVOC').exists() and not coco.list.exists()
    coco.prepare(workers=workers)
    (coco.root / 'SegmentationClassVOC' / 'train2017' / '000000000003.png').unlink()
    assert coco.prepare(workers=workers).counts == {'kept': 11, 'written': 1}
    assert len(coco.list.read_text().split()) == 12
    assert not list(coco.root.rglob('.*'))


@pytest.mark.parametrize('segmentation, said', [
    ([[1, 1, 5, 5]], 'three x, y pairs'),
    ([[1, 1, 5, 5, 9, float('nan')]], 'finite'),
    ([[1, 1, 5, 5, 9, 10**400]], 'too large'),
    ([[0, 0, 1e7, 0, 1e7, 1e7, 0, 1e7]], 'a polygon leaves the image of (30, 30)'),
    ([[0, 0, 1e9, 0, 1e9, 1e9, 0, 1e9]], 'a polygon leaves the image of (30, 30)'),
    ([box(0, 0, 9, 9)[0], [0, 0, 9, 0, 9, -31]], 'a polygon leaves the image of (30, 30)'),
    ([], 'polygons or run lengths'),
    (None, 'polygons or run lengths'),
    (dict(size=[8, 8], counts=[64]), 'size'),
    (dict(size=30, counts=[900]), 'size'),
    ([[{}] * 6], 'annotation'),
    (dict(size=[30, 30], counts=[10, 10]), '900'),
    (dict(size=[30, 30], counts=[-100, 1000]), '900'),
    (dict(size=[30, 30]), 'list or a string'),
    (dict(size=[30, 30], counts=''), '900'),
    (dict(size=[30, 30], counts='1'), '900'),
    (dict(size=[30, 30], counts='zzzz'), "no 'z'"),
    (dict(size=[30, 30], counts='ll'), 'within a number'),
    (dict(size=[30, 30], counts='o' * 100_000), "no 'o'"),
])
def test_broken_segmentations_are_listed(coco: Coco, segmentation: object, said: str) -> None:
    coco.write('train2017', {'good.jpg': (30, 30, [('bus', box(0, 0, 9, 9))]),
                             'bad.jpg': (30, 30, [('bus', segmentation)])})
    report = coco.prepare()
    assert report.exit_status == 1 and not coco.list.exists()
    assert report.counts == {'written': 1, 'broken': 1}
    assert said in report.problems[0]
    assert report.problems[0].startswith('train2017/bad: annotation 1: ')


@pytest.mark.parametrize('density', [0, 0.01, 0.5, 1])
def test_compressed_run_lengths(density: float) -> None:
    """What the library itself writes is read; any string that is cut short is refused."""
    from pycocotools import mask
    pixels = np.random.default_rng(1).random((50, 60)) < density
    pixels[:, 20:50] = pixels[:1, 20:50]
    text = mask.encode(np.asfortranarray(pixels, np.uint8))['counts'].decode()
    assert run_lengths(text) == runs(pixels)['counts']
    drawn = draw_instances([(3, dict(size=[50, 60], counts=text), 0)], (50, 60))
    np.testing.assert_array_equal(drawn, 3 * pixels)
    for end in range(len(text)):
        with pytest.raises(ValueError, match='annotation 7: '):
            draw_instances([(3, dict(size=[50, 60], counts=text[:end]), 7)], (50, 60))


@pytest.mark.parametrize('workers', [1, 2])
def test_partial_leaves_broken_images_out_of_the_list(coco: Coco, workers: int) -> None:
    bus = box(0, 0, 9, 9)
    coco.write('train2017', {
        'a.jpg': (30, 30, [('bus', bus)]), 'bad.jpg': (30, 30, [('bus', bus + [[1, 1, 5, 5]])]),
        'gone.jpg': (30, 30, [('bus', bus)]), 'b.jpg': (30, 30, [('bus', bus)])})
    (coco.root / 'train2017' / 'gone.jpg').unlink()
    assert coco.prepare(workers=workers).exit_status == 1 and not coco.list.exists()
    report = coco.prepare(workers=workers, partial=True)
    assert report.exit_status == 0
    assert coco.list.read_text().split() == ['train2017/a', 'train2017/b']
    lines = report.lines()
    assert lines[0].startswith('train2017/bad: ') and lines[1].startswith('train2017/gone: ')
    assert 'broken or missing, and in no list: 2' in lines
    # With none left there is nothing to train on.
    for name in 'ab':
        (coco.root / 'train2017' / f'{name}.jpg').unlink()
    report = coco.prepare(workers=workers, partial=True)
    assert report.problems == ['no image has 1 labelled pixels']
    assert 'may name broken images' in report.lines()[-2]


def test_missing_and_wrong_images_are_listed(coco: Coco) -> None:
    coco.write('train2017', {name: (30, 30, [('bus', box(0, 0, 9, 9))])
                             for name in ('gone.jpg', 'large.jpg', 'text.jpg')})
    folder = coco.root / 'train2017'
    (folder / 'gone.jpg').unlink()
    Image.fromarray(np.zeros((31, 30, 3), np.uint8)).save(folder / 'large.jpg')
    (folder / 'text.jpg').write_text('not an image')
    problems = coco.prepare().problems
    assert [problem.split(':')[0] for problem in problems] == [
        'train2017/gone', 'train2017/large', 'train2017/text']
    assert 'missing' in problems[0] and '30x31' in problems[1] and 'identify' in problems[2]


def test_file_names_cannot_leave_the_folder(coco: Coco) -> None:
    coco.write('train2017', {'a.jpg': (30, 30, [('bus', box(0, 0, 9, 9))])})
    path = coco.root / 'annotations' / 'instances_train2017.json'
    path.write_text(path.read_text().replace('a.jpg', '../../a.jpg'))
    with pytest.raises(ValueError, match='instances_train2017'):
        coco.prepare()
    assert not (coco.root / 'SegmentationClassVOC').exists()


@pytest.mark.parametrize('content, said', [
    ('{', 'instances_train2017'),
    ('{"categories": []}', 'airplane'),
    ('[]', 'instances_train2017'),
    ('{"images": []}', "'categories'"),
])
def test_broken_annotation_files(coco: Coco, content: str, said: str) -> None:
    path = coco.root / 'annotations' / 'instances_train2017.json'
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        coco.prepare()
    path.unlink()
    with pytest.raises(FileNotFoundError, match='instances_train2017'):
        coco.prepare()


def test_nothing_chosen_is_a_problem(coco: Coco) -> None:
    coco.write('train2017', {'a.jpg': (30, 30, [('bus', box(0, 0, 9, 9))])})
    assert coco.prepare(min_area=500).problems == ['no image has 500 labelled pixels']
    assert not coco.list.exists()


@pytest.mark.parametrize('options', [dict(splits=()), dict(splits=('a', 'a')), dict(min_area=0),
                                     dict(splits=('../a', ))])
def test_bad_arguments(coco: Coco, options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        coco.prepare(**options)
