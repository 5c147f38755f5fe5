# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The checker passes what the package writes and finds every fault put into it."""

import io
import os
import runpy
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_lrr.evaluation import CityscapesSubmission, VOCSubmission
from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette
from mmseg_lrr.evaluation.submission_check import (
    check_cityscapes_submission,
    check_voc_submission,
    read_ids,
)

from .evaluation_samples import make_sample, to_dicts

VOC_IDS = ['2008_000006', '2008_000008', '2008_000011']
VOC_FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'
FRAMES = ['berlin_000000_000019', 'berlin_000001_000019']


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Results and photographs for three VOC images."""
    (tmp_path / 'images').mkdir()
    metric = VOCSubmission(output_dir=str(tmp_path / 'out'))
    for number, name in enumerate(VOC_IDS):
        size = (10 + number, 15)
        Image.new('RGB', size[::-1]).save(tmp_path / 'images' / f'{name}.jpg')
        sample = make_sample(np.full(size, number * 10), None, img_path=f'{name}.jpg')
        metric.process({}, to_dicts([sample]))
    metric.evaluate(len(VOC_IDS))
    return tmp_path


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Results and photographs for two small Cityscapes images."""
    (tmp_path / 'images' / 'berlin').mkdir(parents=True)
    metric = CityscapesSubmission(output_dir=str(tmp_path / 'out'))
    for frame in FRAMES:
        image = tmp_path / 'images' / 'berlin' / f'{frame}_leftImg8bit.png'
        Image.new('RGB', (19, 4)).save(image)
        sample = make_sample(np.arange(76).reshape(4, 19) % 19, None, img_path=str(image))
        metric.process({}, to_dicts([sample]))
    metric.evaluate(len(FRAMES))
    return tmp_path


def check_voc(folder: Path) -> list[str]:
    return check_voc_submission(folder / 'out', VOC_IDS, folder / 'images')


def check_cityscapes(folder: Path) -> list[str]:
    return check_cityscapes_submission(folder / 'out', FRAMES, folder / 'images')


def test_what_the_package_writes_is_well(voc: Path) -> None:
    archive = voc / 'out' / 'VOC2012_comp6_test_cls.tar.gz'
    for source in (voc / 'out', archive):
        assert check_voc_submission(source, VOC_IDS, voc / 'images') == []
        assert check_voc_submission(source, VOC_IDS) == []


def test_what_the_package_writes_for_cityscapes_is_well(cityscapes: Path) -> None:
    for source in (cityscapes / 'out', cityscapes / 'out' / 'cityscapes_results.zip'):
        assert check_cityscapes_submission(source, FRAMES, cityscapes / 'images') == []


@pytest.mark.parametrize('spelling', ['{}', '{}_leftImg8bit', 'berlin/{}_leftImg8bit.png'])
def test_cityscapes_ids_may_be_file_names(cityscapes: Path, spelling: str) -> None:
    ids = [spelling.format(frame) for frame in FRAMES]
    assert check_cityscapes_submission(cityscapes / 'out', ids, cityscapes / 'images') == []


def save_rgb(path: Path) -> None:
    Image.new('RGB', (15, 10)).save(path)


def save_grey(path: Path) -> None:
    save_label_png(path, np.zeros((10, 15), int))


def save_void(path: Path) -> None:
    save_label_png(path, np.full((10, 15), 255), voc_palette())


def save_other_colours(path: Path) -> None:
    save_label_png(path, np.full((10, 15), 3), voc_palette()[::-1])


def save_other_size(path: Path) -> None:
    save_label_png(path, np.zeros((10, 14), int), voc_palette())


def save_truncated(path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 21, (10, 15))
    save_label_png(path, random, voc_palette())
    path.write_bytes(path.read_bytes()[:-60])


def save_jpeg(path: Path) -> None:
    Image.new('L', (15, 10)).save(path, format='JPEG')


def save_empty(path: Path) -> None:
    path.write_bytes(b'')


def save_16_bits(path: Path) -> None:
    Image.fromarray(np.zeros((10, 15), np.uint16)).save(path)


def save_huge(path: Path) -> None:
    Image.new('P', (2**13, 2**12)).save(path)


@pytest.mark.parametrize(('save', 'problem'), [
    (save_rgb, 'mode RGB, expected an indexed PNG'),
    (save_grey, 'mode L, expected an indexed PNG'),
    (save_void, 'values 255 are no class ids 0..20'),
    (save_other_colours, "the palette's colours of the classes 3 are not VOC's"),
    (save_other_size, '14 x 10 pixels (width x height), expected 15 x 10'),
    (save_truncated, 'not a readable PNG'),
    (save_jpeg, 'not a readable PNG'),
    (save_empty, 'not a readable PNG'),
    (save_huge, 'too many pixels for a test image'),
])
def test_a_bad_voc_file(voc: Path, save, problem: str) -> None:
    save(voc / 'out' / VOC_FOLDER / f'{VOC_IDS[0]}.png')
    problems = check_voc(voc)
    name = f'{VOC_FOLDER}/{VOC_IDS[0]}.png'
    assert any(line.startswith(f'{name}: ') and problem in line for line in problems), problems
    assert all(line.startswith(f'{name}: ') for line in problems)


def test_short_palettes_are_well_when_the_used_colours_are_right(voc: Path) -> None:
    image = Image.fromarray(np.full((10, 15), 4, np.uint8))
    image.putpalette(voc_palette()[:5].tobytes())
    image.save(voc / 'out' / VOC_FOLDER / f'{VOC_IDS[0]}.png')
    assert check_voc(voc) == []


def test_missing_and_surplus_voc_files(voc: Path) -> None:
    folder = voc / 'out' / VOC_FOLDER
    os.rename(folder / f'{VOC_IDS[1]}.png', folder / '2007_000001.png')
    (folder / 'notes.txt').write_text('')
    assert check_voc(voc) == [
        f'{VOC_FOLDER}/2007_000001.png: not a PNG of an image in the list',
        f'{VOC_FOLDER}/notes.txt: not a PNG of an image in the list',
        f'{VOC_FOLDER}/: 1 of 3 images have no file: {VOC_IDS[1]}',
    ]


def test_an_image_that_is_not_there(voc: Path) -> None:
    (voc / 'images' / f'{VOC_IDS[2]}.jpg').unlink()
    problem, = check_voc(voc)
    assert problem.startswith(f'{VOC_IDS[2]}: no image of that name in ')


def test_both_competitions_are_checked(voc: Path) -> None:
    other = voc / 'out' / 'results/VOC2012/Segmentation/comp5_test_cls'
    other.mkdir()
    save_label_png(other / f'{VOC_IDS[0]}.png', np.zeros((10, 15), int), voc_palette())
    assert check_voc(voc) == [
        'results/VOC2012/Segmentation/comp5_test_cls/: 2 of 3 images have no file: '
        f'{VOC_IDS[1]}, {VOC_IDS[2]}'
    ]


def test_wrong_layout(voc: Path) -> None:
    problem, = check_voc_submission(voc / 'out' / VOC_FOLDER, VOC_IDS)
    assert 'no PNG files in results/VOC2012/Segmentation/comp5_test_cls/ or ' in problem
    archive = voc / 'flat.tar'
    with tarfile.open(archive, 'w') as tar:
        for name in VOC_IDS:
            tar.add(voc / 'out' / VOC_FOLDER / f'{name}.png', arcname=f'{name}.png')
    problems = check_voc_submission(archive, VOC_IDS)
    assert problems[0] == f'{VOC_IDS[0]}.png: does not belong in the archive'
    assert 'no PNG files in' in problems[-1]


def test_hostile_archives_are_reported_and_nothing_is_unpacked(voc: Path) -> None:
    archive = voc / 'bad.tar'
    with tarfile.open(archive, 'w') as tar:
        for name in ('../../escaped.png', f'./{VOC_FOLDER}/{VOC_IDS[0]}.png'):
            tar.add(voc / 'out' / VOC_FOLDER / f'{VOC_IDS[0]}.png', arcname=name)
        link = tarfile.TarInfo(f'{VOC_FOLDER}/{VOC_IDS[1]}.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/hostname'
        tar.addfile(link)
        bomb = tarfile.TarInfo(f'{VOC_FOLDER}/{VOC_IDS[2]}.png')
        bomb.size = 2**24 + 1
        tar.addfile(bomb, io.BytesIO(bytes(bomb.size)))
    before = sorted(voc.rglob('*'))
    problems = check_voc_submission(archive, VOC_IDS, voc / 'images')
    assert [problem.split(':')[0] for problem in problems] == [
        '../../escaped.png',
        f'{VOC_FOLDER}/{VOC_IDS[1]}.png',
        f'{VOC_FOLDER}/{VOC_IDS[2]}.png',
    ]
    assert '16777217 bytes are too many' in problems[-1]
    assert sorted(voc.rglob('*')) == before


@pytest.mark.parametrize('name', ['VOC2012_comp6_test_cls.tar.gz', 'cut.zip', 'text.tar'])
def test_damaged_archives(voc: Path, name: str) -> None:
    archive = voc / 'out' / name
    if name == 'cut.zip':
        with zipfile.ZipFile(archive, 'w') as made:
            made.write(voc / 'out' / VOC_FOLDER / f'{VOC_IDS[0]}.png', 'a.png')
    elif name == 'text.tar':
        archive.write_text('no archive')
    archive.write_bytes(archive.read_bytes()[:-40])
    problems = check_voc_submission(archive, VOC_IDS)
    assert any('cannot be read to its end' in problem for problem in problems), problems


@pytest.mark.parametrize(('labels', 'problem'), [
    (np.arange(76).reshape(4, 19) % 19, 'look like trainIds; the server wants labelIds 7..33'),
    (np.full((4, 19), 255), 'values 255 are no labelIds of the 19 classes'),
    (np.full((4, 19), 29), 'values 29 are no labelIds of the 19 classes'),
    (np.full((5, 19), 7), '19 x 5 pixels (width x height), expected 19 x 4'),
])
def test_a_bad_cityscapes_file(cityscapes: Path, labels: np.ndarray, problem: str) -> None:
    name = f'{FRAMES[0]}_leftImg8bit.png'
    save_label_png(cityscapes / 'out' / name, labels)
    line, = check_cityscapes(cityscapes)
    assert line.startswith(f'{name}: ') and problem in line


@pytest.mark.parametrize('save', [save_rgb, save_16_bits])
def test_a_cityscapes_file_of_a_wrong_mode(cityscapes: Path, save) -> None:
    name = f'{FRAMES[0]}_leftImg8bit.png'
    save(cityscapes / 'out' / name)
    assert any('expected one channel of 8 bits' in line for line in check_cityscapes(cityscapes))


def test_cityscapes_sizes_are_known_without_images(cityscapes: Path) -> None:
    problems = check_cityscapes_submission(cityscapes / 'out', FRAMES)
    assert len(problems) == 2
    assert all('expected 2048 x 1024' in problem for problem in problems)


def test_missing_double_and_surplus_cityscapes_files(cityscapes: Path) -> None:
    folder = cityscapes / 'out'
    good = (folder / f'{FRAMES[0]}_leftImg8bit.png').read_bytes()
    (folder / f'{FRAMES[1]}_leftImg8bit.png').unlink()
    (folder / f'{FRAMES[0]}_pred.png').write_bytes(good)
    (folder / 'munich_000000_000019.png').write_bytes(good)
    assert check_cityscapes(cityscapes) == [
        f'{FRAMES[0]}_pred.png: a second file for the image of {FRAMES[0]}_leftImg8bit.png',
        'munich_000000_000019.png: not a PNG of an image in the list',
        f'{folder}: 1 of 2 images have no file: {FRAMES[1]}',
    ]


def test_an_empty_folder(tmp_path: Path) -> None:
    assert check_cityscapes_submission(tmp_path, FRAMES) == [f'{tmp_path}: no PNG files in it']


def test_what_is_not_there(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no folder or archive'):
        check_voc_submission(tmp_path / 'nowhere', VOC_IDS)
    with pytest.raises(NotADirectoryError, match='folder of images'):
        check_voc_submission(voc / 'out', VOC_IDS, tmp_path / 'nowhere')


def test_list_of_ids(tmp_path: Path) -> None:
    path = tmp_path / 'test.txt'
    path.write_text('2008_000006\n\n  2008_000008  \n')
    assert read_ids(path) == VOC_IDS[:2]
    path.write_text('\n')
    with pytest.raises(ValueError, match='is empty'):
        read_ids(path)


@pytest.mark.parametrize(('arguments', 'code', 'printed'), [
    (['out', '--ids', 'test.txt'], 0, 'all well: 3 images\n'),
    (['out', '--ids', 'test.txt', '--images', 'images'], 1,
     f'{VOC_IDS[0]}: no image of that name in images\nproblems: 1\n'),
    (['elsewhere', '--ids', 'test.txt'], 2, 'there is no folder or archive elsewhere\n'),
    (['out', '--ids', 'elsewhere.txt'], 2, "No such file or directory: 'elsewhere.txt'\n"),
])
def test_command_line(
    voc: Path,
    repo_root: Path,
    arguments: list[str],
    code: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (voc / 'test.txt').write_text('\n'.join(VOC_IDS))
    (voc / 'images' / f'{VOC_IDS[0]}.jpg').unlink()
    monkeypatch.chdir(voc)
    monkeypatch.setattr(sys, 'argv', ['check_submission.py', 'voc', *arguments])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(repo_root / 'tools' / 'check_submission.py'), run_name='__main__')
    assert stopped.value.code == code
    output = capsys.readouterr()
    assert (output.err if code == 2 else output.out).endswith(printed)
