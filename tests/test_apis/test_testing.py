# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing from Python, and ``tools/test.py`` with the CRF, on a small project."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from PIL import Image

from mmseg_lrr.apis import toolbox
from mmseg_lrr.apis.testing import configure_test, crf_config, default_crf, evaluate, run_test

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline
from .small_project import make_project

CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16', iterations=1)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


@pytest.fixture
def cfg(project: Path) -> Config:
    return Config.fromfile(project / 'config.py')


def miou(labels: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Mean IoU in percent from a confusion matrix."""
    confusion = np.zeros((3, 3))
    for found, true in zip(labels, truth, strict=True):
        np.add.at(confusion, (true.ravel(), found.ravel()), 1)
    hits = confusion.diagonal()
    return float(100 * (hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean())


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('crf', [None, CRF])
def test_every_way_of_testing(project: Path, cfg: Config, tta: bool, crf: dict | None) -> None:
    before = cfg.pretty_text
    metrics = evaluate(cfg, str(project / 'weights.pth'), tta=tta, crf=crf)
    assert cfg.pretty_text == before
    model = build(configure_test(cfg, tta=tta, crf=crf).model)
    pipeline = tta_pipeline() if tta else single_pipeline()
    found, truth = [], []
    for index in range(3):
        image = np.asarray(Image.open(project / 'data' / 'images' / f'{index}.png'))
        truth.append(np.asarray(Image.open(project / 'data' / 'labels' / f'{index}.png')))
        sample = predict(model, pipeline, image[..., ::-1].copy())
        found.append(sample.pred_sem_seg.data[0].numpy())
    assert metrics['mIoU'] == pytest.approx(miou(found, truth), abs=.00501)


def test_seconds_are_of_one_run(project: Path, cfg: Config,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that begin within a second do not share their times."""
    counts = []
    call = Runner.call_hook

    def call_hook(runner: Runner, name: str, **kwargs) -> None:
        call(runner, name, **kwargs)
        if name == 'after_test':
            counts.append(len(runner.message_hub.get_scalar('test/time').data[0]))

    monkeypatch.setattr(Runner, 'call_hook', call_hook)
    monkeypatch.setattr('time.strftime', lambda *_: '20200101_000000')
    results = [run_test(cfg, str(project / 'weights.pth')) for _ in range(2)]
    assert counts == [3, 3]
    assert results[0].metrics == results[1].metrics
    assert all(result.num_images == 3 and result.seconds_per_image > 0 for result in results)


def test_an_empty_list_is_named(project: Path, cfg: Config, tmp_path: Path) -> None:
    (tmp_path / 'none.txt').write_text('\n')
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / 'none.txt')
    with pytest.raises(ValueError, match=r'the list ann_file=.*none\.txt lists no images'):
        evaluate(cfg, str(project / 'weights.pth'))


def test_no_crf_means_none(cfg: Config) -> None:
    """Whatever the config says; the report's rows must be what their names say."""
    cfg.model.test_cfg.crf = cfg.tta_model.crf = dict(type='DenseCRF')
    assert 'crf' not in configure_test(cfg).model.test_cfg
    tested = configure_test(cfg, tta=True).model
    assert 'crf' not in tested and 'crf' not in tested.module.test_cfg
    tested = configure_test(cfg, tta=True, crf=CRF).model
    assert tested.crf == CRF and 'crf' not in tested.module.test_cfg
    assert configure_test(cfg, crf=CRF).model.test_cfg == dict(
        mode='whole', level_outputs=True, crf=CRF)


# ---------------------------------------------------------------------- the command line


def options(arguments: list[str]) -> dict:
    """What the toolbox's parser makes of ``--cfg-options`` in translated arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    parser.add_argument('--tta', action='store_true')
    parser.add_argument('--out')
    return parser.parse_args(toolbox.translate(arguments)).cfg_options


@pytest.mark.parametrize('words, place', [
    ([], 'model.test_cfg.crf'), (['--aug-test'], 'tta_model.crf'), (['--tta'], 'tta_model.crf'),
    (['--tt'], 'tta_model.crf')])
@pytest.mark.parametrize('crf, preset', [
    ('--crf', 'deeplab_v2_vgg16'), ('--crf=deeplab_v1', 'deeplab_v1')])
def test_crf_becomes_config_options(words: list, place: str, crf: str, preset: str) -> None:
    expected = {
        f'{place}.type': 'DenseCRF', f'{place}.preset': preset, 'test_cfg.type': 'LRRTestLoop'}
    for arguments in (['c.py', crf, 'p.pth', *words], [*words, 'c.py', 'p.pth', crf],
                      [crf, *words, '--', 'c.py', 'p.pth']):
        assert options(arguments) == expected


@pytest.mark.parametrize('name', ['--cfg-options', '--cfg'])
def test_crf_is_merged_into_the_users_options_which_have_the_last_word(name: str) -> None:
    crf = 'model.test_cfg.crf'
    found = options(['c.py', 'p.pth', name, 'a=1', f'{crf}.preset=deeplab_v1', '--out', 'o',
                     '--crf', f'{name}=b=[2,3]', name, f'{crf}.iterations=5'])
    assert found == {
        'a': 1, 'b': [2, 3], 'test_cfg.type': 'LRRTestLoop', f'{crf}.type': 'DenseCRF',
        f'{crf}.preset': 'deeplab_v1', f'{crf}.iterations': 5}


@pytest.mark.parametrize('own', ['tta_model.crf', 'crf'])
def test_crf_alone_is_the_configs_own(cfg: Config, tmp_path: Path, own: str) -> None:
    cfg.merge_from_dict({own: dict(type='DenseCRF', preset='deeplab_v1', iterations=3)})
    cfg.dump(tmp_path / 'own.py')
    path, place = str(tmp_path / 'own.py'), 'model.test_cfg.crf'
    found = options([path, 'p.pth', '--crf'])
    assert found == {
        'test_cfg.type': 'LRRTestLoop', f'{place}.type': 'DenseCRF',
        f'{place}.preset': 'deeplab_v1', f'{place}.iterations': 3}
    found = options([path, 'p.pth', '--crf=kraehenbuehl', '--cfg-options', f'{place}.iterations=4'])
    assert found == {
        'test_cfg.type': 'LRRTestLoop', f'{place}.type': 'DenseCRF',
        f'{place}.preset': 'kraehenbuehl', f'{place}.iterations': 4}
    assert default_crf(cfg) == dict(type='DenseCRF', preset='deeplab_v1', iterations=3)


def test_without_crf_nothing_is_added() -> None:
    arguments = ['c.py', 'p.pth', '--out', 'o', '--cfg-options', 'crf=1']
    assert toolbox.translate(arguments) == arguments


@pytest.mark.parametrize('word, got', [('--crf=densecrf', 'densecrf'), ('--crf=', '')])
def test_unknown_preset_ends_with_the_list(
    word: str, got: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        toolbox.test(['c.py', 'p.pth', word])
    assert stop.value.code == 2
    assert ("argument --crf: CRF preset must be one of 'kraehenbuehl', 'deeplab_v1', "
            f"'deeplab_v2_vgg16', 'deeplab_v2_resnet101', got '{got}'") in capsys.readouterr().err
    with pytest.raises(ValueError, match='CRF preset must be one of'):
        crf_config(got)


@pytest.mark.parametrize('words, tta', [(['--crf'], False), (['--aug-test', '--crf'], True),
                                        (['--aug-test'], True), ([], False)])
def test_tool_writes_predictions_and_pictures(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list, tta: bool
) -> None:
    monkeypatch.setattr(sys, 'argv', ['test.py'])
    monkeypatch.chdir(tmp_path)
    place = 'tta_model.crf' if tta else 'model.test_cfg.crf'
    more = [f'{place}.iterations=1'] if '--crf' in words else []
    toolbox.test([
        str(project / 'config.py'), str(project / 'weights.pth'), *words, '--work-dir', 'work',
        '--out', 'out', '--show-dir', 'shown',
        # A visualizer of this name stays for the whole process.
        '--cfg-options', f'visualizer.name={tmp_path.name}', *more])
    cfg = Config.fromfile(project / 'config.py')
    crf = CRF if '--crf' in words else None
    model = build(configure_test(cfg, tta=tta, crf=crf).model)
    for index in range(3):
        image = np.asarray(Image.open(project / 'data' / 'images' / f'{index}.png'))
        sample = predict(model, tta_pipeline() if tta else single_pipeline(),
                         image[..., ::-1].copy())
        written = np.asarray(Image.open(tmp_path / 'out' / f'{index}.png'))
        np.testing.assert_array_equal(written, sample.pred_sem_seg.data[0].numpy())
    assert len(list(tmp_path.rglob('vis_image/test_?.png_*.png'))) == 3
