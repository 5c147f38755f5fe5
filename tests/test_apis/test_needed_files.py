# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What is missing is said in one line, before anything else is printed."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from test_configs.small_world import CONFIGS, NAMES, load, make

from mmseg_lrr.apis import toolbox
from mmseg_lrr.apis.needed_files import need_files

from ..toolbox import since_torch

VOC, CITY = Path('data/VOCdevkit/VOC2012'), Path('data/cityscapes')


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of every config."""
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def line(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """The line that a tool ends with."""

    def run(command: Callable, *arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            command(*arguments)
        assert capsys.readouterr() == ('', '') and '\n' not in stop.value.code
        return stop.value.code.removeprefix('error: ')

    return run


def test_nothing_is_missing(world: Path) -> None:
    for name in NAMES:
        need_files(load(name), 'train', 'val', 'test', load_from='https://elsewhere/a.pth')


@pytest.mark.parametrize('name, lost, missing, remedy', [
    ('lrr4x_r101_voc', 'data', VOC / 'ImageSets/Segmentation/lrr_train.txt',
     'run python tools/prepare_data.py voc data/VOCdevkit/VOC2012 data/benchmark_RELEASE on '),
    ('lrr4x_r101_voc', VOC / 'SegmentationClassAug', VOC / 'SegmentationClassAug/*.png',
     'run python tools/prepare_data.py voc '),
    ('lrr4x_r101_coco-voc_stage1', 'data/coco/ImageSets',
     'data/coco/ImageSets/Segmentation/voc20.txt',
     'run python tools/prepare_data.py coco data/coco on'),
    # Unpacked, and not prepared.
    ('lrr32x_vgg16_cityscapes', CITY / 'gtFine/train/city/a_gtFine_labelTrainIds.png',
     CITY / 'gtFine/train/*_labelTrainIds.png',
     'run python tools/prepare_data.py cityscapes data/cityscapes on '),
    ('lrr32x_r18_camvid', 'data/camvid', 'data/camvid/ImageSets/Segmentation/train.txt',
     'set data_root, ann_file or data_prefix of the data set')])
def test_missing_data(
        world: Path, line: Callable, name: str, lost: str, missing: str, remedy: str) -> None:
    shutil.rmtree(lost) if Path(lost).is_dir() else [
        path.unlink() for path in Path(lost).parent.iterdir()]
    said = line(toolbox.train, [str(CONFIGS / f'{name}.py')])
    assert said.startswith(f'{missing} is missing; {remedy}') and 'docs/recipes.md' in said


def test_a_folder_without_images_of_the_suffix(world: Path, line: Callable) -> None:
    dataset = dict(type='BaseSegDataset', data_root='data', img_suffix='.bmp',
                   data_prefix=dict(img_path='coco'))
    assert line(need_files, Config(dict(val_dataloader=dict(dataset=dataset))), 'val').startswith(
        'data/coco/*.bmp is missing; set data_root, ann_file or data_prefix of the data set')


def test_images_without_labels_and_data_on_a_server_are_not_looked_for(world: Path) -> None:
    cfg = load('lrr4x_r101_voc')
    shutil.rmtree(VOC / 'SegmentationClassAug')
    cfg.test_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile')]
    need_files(cfg, 'test')
    shutil.rmtree('data')
    cfg.test_dataloader.dataset.backend_args = dict(backend='petrel')
    need_files(cfg, 'test')


def test_missing_stage_and_checkpoint(
    world: Path, line: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = 'work_dirs/lrr32x_vgg16_voc/epoch_65.pth'
    config = CONFIGS / 'lrr4x_vgg16_voc.py'
    assert line(toolbox.train, [str(config)]) == (
        f'the checkpoint {stage} is missing; run python tools/train.py '
        f'{config.with_name("lrr32x_vgg16_voc.py")} first (docs/recipes.md), or name another by '
        '--cfg-options load_from=FILE')
    monkeypatch.setenv('ROW', 'lrr32x_vgg16_voc')
    assert line(toolbox.train, [str(CONFIGS / 'authors.py')]) == (
        'the checkpoint checkpoints/imagenet_vgg_verydeep_16.pth is missing; name another by '
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE')
    monkeypatch.setenv('ROW', 'lrr4x_vgg16_voc')
    assert f'run ROW=lrr32x_vgg16_voc python tools/train.py {CONFIGS / "authors.py"} first' in line(
        toolbox.train, [str(CONFIGS / 'authors.py')])
    assert line(toolbox.test, [str(config), 'a.pth']) == 'the checkpoint a.pth is missing'


@since_torch('2.6', 'loads whatever a file names')
@pytest.mark.parametrize('zipped', [True, False])
def test_refused_checkpoint(tmp_path: Path, line: Callable, zipped: bool) -> None:
    file = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict={}, scale=Fraction(1, 2)), file,
               _use_new_zipfile_serialization=zipped)
    said = line(lambda: need_files(Config(), checkpoint=file))
    assert said.startswith(f'the checkpoint {file} asks for fractions.Fraction, which torch ')
    allowed = torch.serialization.get_safe_globals()
    try:
        exec(said.partition(': ')[2])
        need_files(Config(), checkpoint=file)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
