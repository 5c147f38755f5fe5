# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/train.py`` and ``tools/test.py`` behave as the toolbox's own."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_lrr.apis import toolbox

CONFIG = """
custom_imports = dict(imports=['mmseg_lrr'])
default_scope = 'mmseg'
preprocessor = dict(type='SegDataPreProcessor', size=(32, 32), pad_val=0, seg_pad_val=255)
model = dict(
    type='EncoderDecoder', data_preprocessor=preprocessor,
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, num_stages=1, out_indices=(0,), strides=(1,),
        dilations=(1,), norm_cfg=dict(type='BN')),
    decode_head=dict(
        type='FCNHead', in_channels=8, channels=8, num_convs=1, concat_input=False,
        num_classes=2, norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
dataset = dict(
    type='BaseSegDataset', data_root='data', seg_map_suffix='.png',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [255, 255, 255]]),
    pipeline=[*load, dict(type='PackSegInputs')])
train_dataloader = dict(
    batch_size=2, sampler=dict(type='InfiniteSampler', shuffle=True), dataset=dataset)
test_dataloader = dict(
    batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset)
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
"""


def run_tool(repo_root: Path, cwd: Path, tool: str, *arguments: str) -> str:
    """Run one of our tools as a user does and return what it printed."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(repo_root / 'tools' / tool), *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(repo_root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the config above for two iterations, all paths relative to the current folder."""
    folder = tmp_path_factory.mktemp('train')
    rng = np.random.default_rng(0)
    for name in ('images', 'labels'):
        (folder / 'data' / name).mkdir(parents=True)
    for index in range(2):
        label = (rng.random((32, 32)) < 0.5).astype(np.uint8)
        cv2.imwrite(str(folder / 'data' / 'images' / f'{index}.jpg'), label * 255)
        cv2.imwrite(str(folder / 'data' / 'labels' / f'{index}.png'), label)
    (folder / 'config.py').write_text(CONFIG)
    run_tool(
        repo_root, folder, 'train.py', 'config.py', '--work-dir', 'work',
        '--cfg-options', 'train_dataloader.batch_size=1', 'randomness.seed=0',
    )  # fmt: skip
    return folder


def test_train_honours_the_toolbox_options(trained: Path) -> None:
    assert (trained / 'work' / 'iter_2.pth').is_file()
    assert "batch_size=1" in (trained / 'work' / 'config.py').read_text()


def test_aug_test_is_tta_and_out_writes_predictions(trained: Path, repo_root: Path) -> None:
    printed = run_tool(
        repo_root, trained, 'test.py', 'config.py', 'work/iter_2.pth', '--aug-test',
        '--out', 'predictions', '--work-dir', 'tested',
    )  # fmt: skip
    assert 'mIoU' in printed
    # The configuration that the Runner kept has the model wrapped, which only --tta does.
    assert "type='SegTTAModel'" in (trained / 'tested' / 'config.py').read_text()
    assert sorted(path.name for path in (trained / 'predictions').iterdir()) == ['0.png', '1.png']


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_help_is_the_toolboxs_and_ours(repo_root: Path, tmp_path: Path, tool: str) -> None:
    printed = run_tool(repo_root, tmp_path, tool, '--help')
    # The fork prints a line of its own when it is imported.
    assert f'usage: {tool}' in printed
    assert '--cfg-options' in printed
    assert ('--aug-test' in printed) == (tool == 'test.py')


def test_translate_replaces_ours_and_keeps_the_rest_in_order() -> None:
    assert toolbox.translate(['c.py', 'p.pth', '--aug-test', '--cfg-options', 'a=--b']) == [
        'c.py', 'p.pth', '--tta', '--cfg-options', 'a=--b',
    ]  # fmt: skip
    assert toolbox.translate(['c.py', 'p.pth', '--tta']) == ['c.py', 'p.pth', '--tta']


@pytest.mark.parametrize('place', ['mmseg/.mim/tools', 'tools'])
def test_script_is_found_in_a_wheel_and_in_a_checkout(tmp_path: Path, place: str) -> None:
    script = tmp_path / place / 'train.py'
    script.parent.mkdir(parents=True)
    script.touch()
    assert toolbox.find_script('train.py', tmp_path / 'mmseg') == script


def test_missing_script_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        toolbox.find_script('train.py', tmp_path / 'mmseg')
    assert str(tmp_path / 'mmseg' / '.mim' / 'tools' / 'train.py') in str(error.value)
    assert str(tmp_path / 'tools' / 'train.py') in str(error.value)


def test_failure_of_the_script_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = tmp_path / 'stops.py'
    script.write_text('import sys\nsys.exit(3 if sys.argv[1:] == ["-h", "x"] else 0)')
    monkeypatch.setattr(sys, 'argv', ['ours'])
    with pytest.raises(SystemExit) as stop:
        toolbox._run(script, ['-h', 'x'], 'more help')
    assert stop.value.code == 3
    assert 'more help' not in capsys.readouterr().out
