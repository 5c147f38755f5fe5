# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing from Python on a small project."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmseg_lrr.apis.testing import configure_test, run_test

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
    tested = configure_test(cfg, tta=tta, crf=crf)
    metrics = run_test(tested, str(project / 'weights.pth')).metrics
    assert cfg.pretty_text == before
    model = build(tested.model)
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
