# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/check_submission.py`` passes what the package writes and finds faults put into it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from check_submission import check
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import from_numpy

from mmseg_lrr.evaluation import CityscapesSubmission, VOCSubmission
from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette

VOC_IDS = ['2008_000006', '2008_000008', '2008_000011']
FRAMES = ['berlin_000000_000019', 'berlin_000001_000019']
TRAIN_IDS = np.arange(76).reshape(4, 19) % 19


def write(metric: type, folder: Path, names: list[str], labels: np.ndarray) -> Path:
    """Write photographs to ``folder/images`` and results of the package to ``folder/out``."""
    metric = metric(output_dir=str(folder / 'out'))
    for name in names:
        path = folder / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', labels.shape[::-1]).save(path)
        sample = SegDataSample(metainfo=dict(img_path=str(path)))
        sample.pred_sem_seg = PixelData(data=from_numpy(labels)[None])
        metric.process({}, [sample.to_dict()])
    metric.evaluate(len(names))
    return folder


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    labels = np.arange(150).reshape(10, 15) % 21
    return write(VOCSubmission, tmp_path, [f'{name}.jpg' for name in VOC_IDS], labels)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    names = [f'berlin/{frame}_leftImg8bit.png' for frame in FRAMES]
    return write(CityscapesSubmission, tmp_path, names, TRAIN_IDS)


def test_what_the_package_writes_for_voc_is_well(voc: Path) -> None:
    for source in (voc / 'out', voc / 'out' / 'VOC2012_comp6_test_cls.tar.gz'):
        assert check('voc', source, VOC_IDS, voc / 'images') == []
        assert check('voc', source, VOC_IDS) == []


def test_what_the_package_writes_for_cityscapes_is_well(cityscapes: Path) -> None:
    for source in (cityscapes / 'out', cityscapes / 'out' / 'cityscapes_results.zip'):
        for ids in (FRAMES, [f'berlin/{frame}_leftImg8bit.png' for frame in FRAMES]):
            assert check('cityscapes', source, ids, cityscapes / 'images') == []


@pytest.mark.parametrize(('save', 'problem'), [
    (lambda path: save_label_png(path, np.zeros((10, 15), int)), 'mode L, expected an indexed'),
    (lambda path: save_label_png(path, np.full((10, 15), 255), voc_palette()),
     'values [255] are no class ids 0..20'),
    (lambda path: save_label_png(path, np.full((10, 15), 3), voc_palette()[::-1]),
     "the palette's colours are not VOC's"),
    (lambda path: save_label_png(path, np.zeros((10, 14), int), voc_palette()),
     '14 x 10 pixels (width x height), expected 15 x 10'),
    (lambda path: path.write_bytes(path.read_bytes()[:-40]), 'not a readable PNG'),
    (lambda path: Image.new('L', (15, 10)).save(path, format='JPEG'), 'not a readable PNG')])
def test_a_bad_voc_file(voc: Path, save: Callable, problem: str) -> None:
    path, *_ = (voc / 'out').rglob(f'{VOC_IDS[0]}.png')
    save(path)
    line, = check('voc', voc / 'out', VOC_IDS, voc / 'images')
    assert line.startswith(f'{path.name}: ') and problem in line


def test_missing_surplus_and_misplaced_voc_files(voc: Path) -> None:
    folder = voc / 'out/results/VOC2012/Segmentation/comp6_test_cls'
    problem, = check('voc', folder, VOC_IDS)
    assert 'no PNG files in results/VOC2012/Segmentation/comp5_test_cls or ' in problem
    # Both competitions are looked at.
    shutil.copytree(folder, folder.with_name('comp5_test_cls'))
    (folder / f'{VOC_IDS[1]}.png').rename(folder / '2007_000001.png')
    assert check('voc', voc / 'out', VOC_IDS) == [
        '2007_000001.png: not a PNG of an image in the list',
        f'comp6_test_cls: 1 of 3 images have no file: {VOC_IDS[1]}']


@pytest.mark.parametrize(('labels', 'problem'), [
    (TRAIN_IDS, 'look like trainIds; the server wants labelIds 7..33'),
    (np.full((4, 19), 29), 'values [29] are no labelIds of the 19 classes'),
    (np.full((5, 19), 7), '19 x 5 pixels (width x height), expected 19 x 4')])
def test_a_bad_cityscapes_file(cityscapes: Path, labels: np.ndarray, problem: str) -> None:
    name = f'{FRAMES[0]}_leftImg8bit.png'
    save_label_png(cityscapes / 'out' / name, labels)
    line, = check('cityscapes', cityscapes / 'out', FRAMES, cityscapes / 'images')
    assert line.startswith(f'{name}: ') and problem in line
    # A second file for it; without photographs, all must be of the size of Cityscapes' images.
    shutil.copy(cityscapes / 'out' / name, cityscapes / 'out' / f'{FRAMES[0]}_pred.png')
    problems = check('cityscapes', cityscapes / 'out', FRAMES)
    assert f'{FRAMES[0]}_pred.png: a second file for the image of {name}' in problems
    assert sum('expected 2048 x 1024' in line for line in problems) == 2


def test_command_line(voc: Path, call: Callable, capsys: pytest.CaptureFixture) -> None:
    for ids, code, said in ((VOC_IDS, 0, 'all well: 3 images\n'),
                            (VOC_IDS[1:], 1, 'PNG of an image in the list\nproblems: 1\n')):
        (voc / 'test.txt').write_text('\n'.join(ids))
        with pytest.raises(SystemExit) as stopped:
            call('check_submission.py', 'voc', voc / 'out', '--ids', voc / 'test.txt')
        assert stopped.value.code == code and capsys.readouterr().out.endswith(said)
