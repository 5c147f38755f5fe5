# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/train.py`` and ``tools/test.py`` are mmseg's, with ``--aug-test`` and ``--crf``."""

import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.models.builder import build_loss
from PIL import Image

from mmseg_lrr.apis import toolbox
from mmseg_lrr.apis.testing import configure_test

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline

CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16')
OWN = dict(type='DenseCRF', pos_std=2)
SINGLE, FUSED = 'model.test_cfg.crf', 'tta_model.crf'


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> list[Namespace]:
    """What the scripts would go on with."""
    found: list[Namespace] = []
    monkeypatch.setattr(toolbox, '_run', lambda script, args: found.append(args))
    return found


@pytest.mark.parametrize('words, place, own, crf', [
    (['--crf'], SINGLE, {}, CRF),
    (['--crf'], SINGLE, {'crf': OWN}, OWN),
    (['--aug-test', '--crf'], FUSED, {'tta_model.crf': OWN}, OWN),
    (['--crf=deeplab_v1', '--tta'], FUSED, {'crf': OWN},
     dict(type='DenseCRF', preset='deeplab_v1'))])
def test_crf_becomes_config_options(
        project: Path, tmp_path: Path, understood: list[Namespace], words: list[str], place: str,
        own: dict, crf: dict) -> None:
    cfg = Config.fromfile(project / 'config.py')
    cfg.merge_from_dict(own)
    cfg.dump(tmp_path / 'c.py')
    # The user's options have the last word.
    checkpoint = str(project / 'weights.pth')
    toolbox.test([*words, str(tmp_path / 'c.py'), checkpoint, '--cfg-options',
                  f'{place}.threads=2'])
    (args, ) = understood
    assert args.cfg_options == {
        'test_cfg.type': 'LRRTestLoop', f'{place}.threads': 2,
        **{f'{place}.{name}': value for name, value in crf.items()}}
    assert args.tta == (place == FUSED) and args.checkpoint == checkpoint


@pytest.mark.parametrize('words', [['--crf'], ['--aug-test']])
def test_tool_writes_predictions_and_pictures(
        project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    tta, crf = '--aug-test' in words, dict(CRF, iterations=1) if '--crf' in words else None
    more = [f'{SINGLE}.iterations=1'] if crf else []
    toolbox.test([
        str(project / 'config.py'), str(project / 'weights.pth'), *words, '--work-dir', 'work',
        '--out', 'out', '--show-dir', 'shown',
        # A visualizer of this name stays for the whole process.
        '--cfg-options', f'visualizer.name={tmp_path.name}', *more])
    cfg = Config.fromfile(project / 'config.py')
    model = build(configure_test(cfg, tta=tta, crf=crf).model)
    for index in range(3):
        image = np.asarray(Image.open(project / 'data' / 'images' / f'{index}.png'))
        sample = predict(model, tta_pipeline() if tta else single_pipeline(),
                         image[..., ::-1].copy())
        written = np.asarray(Image.open(tmp_path / 'out' / f'{index}.png'))
        np.testing.assert_array_equal(written, sample.pred_sem_seg.data[0].numpy())
    assert len(list(tmp_path.rglob('vis_image/test_?.png_*.png'))) == 3


def test_a_config_with_the_toolboxs_pipelines_for_a_test_server(
        project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They load labels, which are not there, keep no photograph, and their model runs no CRF."""
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(project / 'config.py')
    load, end = dict(type='LoadImageFromFile'), [dict(type='LoadAnnotations'),
                                                 dict(type='PackSegInputs')]
    flips = [dict(type='RandomFlip', prob=float(prob), direction='horizontal') for prob in (0, 1)]
    cfg.tta_pipeline = [
        load, dict(type='TestTimeAug', transforms=[flips, *([step] for step in end)])]
    cfg.test_dataloader.dataset.pipeline = [load, *end]
    del cfg.test_dataloader.dataset.data_prefix.seg_map_path
    cfg.test_evaluator = dict(type='VOCSubmission')
    cfg.tta_model = dict(type='SegTTAModel')
    cfg.dump('c.py')
    crf = dict(CRF, iterations=1)
    toolbox.test(['c.py', str(project / 'weights.pth'), '--aug-test', '--crf', '--out', 'out',
                  '--cfg-options', 'tta_model.crf.iterations=1'])
    (written, *_) = sorted((tmp_path / 'out').rglob('0.png'))
    model = build(configure_test(cfg, tta=True, crf=crf).model)
    image = np.asarray(Image.open(project / 'data' / 'images' / '0.png'))[..., ::-1].copy()
    keep, keys = dict(type='KeepOriginalImage'), ('ori_shape', 'flip', 'flip_direction', 'ori_img')
    augment = dict(type='TestTimeAug', transforms=[
        flips, [dict(type='PackSegInputs', meta_keys=keys)]])
    sample = predict(model, [dict(type='LoadImageFromNDArray'), keep, augment], image)
    np.testing.assert_array_equal(np.asarray(Image.open(written)), sample.pred_sem_seg.data[0])


@pytest.mark.parametrize('there', [False, True])
def test_resume_of_a_second_stage_goes_on_from_its_own_folder(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, understood: list[Namespace], there: bool
) -> None:
    """mmengine would take the first stage's last checkpoint (``load_from``) for its own."""
    monkeypatch.chdir(tmp_path)
    torch.save({}, 'mine.pth')
    if not there:  # Nor is the first stage needed any more.
        torch.save({}, 'stage1.pth')
    config = tmp_path / 'stage2.py'
    config.write_text("load_from = 'stage1.pth'\nwork_dir = 'elsewhere'\n")
    if there:
        (tmp_path / 'last_checkpoint').write_text('x')
    argv = [str(config), '--resume', '--cfg-options', f'work_dir={tmp_path}']
    if there:
        toolbox.train(argv)
    else:
        with pytest.warns(UserWarning, match='no .*last_checkpoint .* load_from=stage1.pth'):
            toolbox.train(argv)
    # Who names a checkpoint means it.
    toolbox.train([*argv, 'load_from=mine.pth'])
    args, named = understood
    assert args.resume == there
    assert args.cfg_options == dict(work_dir=str(tmp_path), **dict(load_from=None) if there else {})
    assert named.resume and named.cfg_options['load_from'] == 'mine.pth'


@pytest.mark.parametrize('key, options', [
    ('model', []), ('state_dict', ['--aug-test']), ('', [])])
def test_random_weights_are_not_tested(
        project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str,
        options: list[str]) -> None:
    """Of a file whose weights lie under another key, or that has no basis functions."""
    monkeypatch.chdir(tmp_path)
    weights = torch.load(project / 'weights.pth')['state_dict']
    if key != 'model':
        weights = {name: value for name, value in weights.items() if 'bases' not in name}
    torch.save({key: weights} if key else weights, 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth is not one of .* missing, such as'):
        toolbox.test([str(project / 'config.py'), 'other.pth', *options])


@pytest.mark.parametrize('command', ['train', 'test'])
def test_help_is_the_toolboxs_and_ours(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        getattr(toolbox, command)(['--help'])
    printed = capsys.readouterr().out
    assert stop.value.code == 0 and f'usage: {command}.py' in printed
    assert '--cfg-options' in printed and ('--aug-test' in printed) == (command == 'test')


@pytest.mark.parametrize('place', ['mmseg/.mim/tools', 'tools'])
def test_script_is_found_in_a_wheel_and_in_a_checkout(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr('mmseg.__file__', str(tmp_path / 'mmseg' / '__init__.py'))
    with pytest.raises(FileNotFoundError, match=r"MMSegmentation's x\.py was not found; looked"):
        toolbox.find_script('x.py')
    script = tmp_path / place / 'x.py'
    script.parent.mkdir(parents=True)
    script.write_text('import sys\nsys.exit(3 if sys.argv[1:] == ["a"] else 0)')
    with pytest.raises(SystemExit) as stop:
        toolbox.script(['x.py', 'a'])
    assert stop.value.code == 3


def test_only_notes_on_mmsegs_own_code_are_ignored() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        toolbox.ignore_notes()
        build_loss(dict(type='CrossEntropyLoss', avg_non_ignore=True))
        warnings.warn_explicit('of data', UserWarning, 'file', 1, module='mmseg.datasets')
    assert [str(warning.message) for warning in shown] == ['of data']
