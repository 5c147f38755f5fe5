# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The search of the CRF's settings: each trial against the CRF itself and a confusion matrix."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg_lrr.apis.testing import configure_test
from mmseg_lrr.apis.tune_crf import format_trials, parse_grid, settings_of, tune_crf
from mmseg_lrr.models import DenseCRF
from mmseg_lrr.models.post_processing.dense_crf import PRESETS

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline
from .small_project import make_project

GRID = {'iterations': (0, 1), 'bilateral_std_xy': (10, 30)}


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'), num_images=5)


def silent(items: list, description: str) -> list:
    return items


@pytest.mark.parametrize('tta', [False, True])
def test_every_trial(project: Path, tmp_path: Path, tta: bool) -> None:
    trials = tune_crf(
        project / 'config.py', str(project / 'weights.pth'), num_images=3, grid=GRID, tta=tta,
        out=tmp_path / 'out.json', progress=silent)
    cfg = configure_test(Config.fromfile(project / 'config.py'), tta=tta)
    model = build(cfg.model)
    chosen = (0, 2, 4)
    images, maps, truth = [], [], []
    for index in chosen:
        images.append(np.asarray(Image.open(project / 'data' / 'images' / f'{index}.png')))
        truth.append(np.asarray(Image.open(project / 'data' / 'labels' / f'{index}.png')))
        sample = predict(model, tta_pipeline() if tta else single_pipeline(),
                         images[-1][..., ::-1].copy())
        # Kept in half precision.
        maps.append(sample.seg_logits.data.exp().numpy().astype(np.float16).astype(np.float32))

    settings = [trial.settings for trial in trials]
    assert settings.count(None) == 1
    for wanted in PRESETS.values():
        assert wanted in settings
    for iterations in GRID['iterations']:
        for std in GRID['bilateral_std_xy']:
            assert {**PRESETS['deeplab_v2_vgg16'], 'iterations': iterations,
                    'bilateral_std_xy': std} in settings
    assert len(trials) == 1 + len(PRESETS) + 4

    for trial in trials:
        confusion = np.zeros((3, 3))
        for image, probabilities, labels in zip(images, maps, truth, strict=True):
            if trial.settings is not None:
                probabilities = DenseCRF(**trial.settings)(image, probabilities)
            np.add.at(confusion, (labels.ravel(), probabilities.argmax(axis=0).ravel()), 1)
        hits = confusion.diagonal()
        ious = hits / (confusion.sum(0) + confusion.sum(1) - hits)
        assert trial.miou == pytest.approx(100 * ious.mean(), abs=1e-9)
        assert (trial.seconds_per_image > 0) == (trial.settings is not None)
    scores = [trial.miou for trial in trials]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 3

    record = json.loads((tmp_path / 'out.json').read_text())
    assert record['after'] == ('multi-scale' if tta else 'single pass')
    assert [Path(path).name for path in record['images']] == [f'{index}.png' for index in chosen]
    assert record['trials'] == [
        {'settings': trial.settings, 'miou': trial.miou,
         'seconds_per_image': trial.seconds_per_image} for trial in trials]

    table = format_trials(trials, most=2).splitlines()
    assert table[1].startswith(f'{trials[0].miou:6.2f} ')
    assert len(table) in (3, 4) and any('no CRF' in line for line in table)


def test_images_without_the_photograph_or_labels_end_it(project: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    cfg.test_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(KeyError, match='KeepOriginalImage'):
        tune_crf(cfg, str(project / 'weights.pth'), num_images=1, grid={}, progress=silent)
    cfg = Config.fromfile(project / 'config.py')
    cfg.test_dataloader.dataset.pipeline.pop(3)
    with pytest.raises(ValueError, match='0.png has no ground truth'):
        tune_crf(cfg, str(project / 'weights.pth'), num_images=1, grid={}, progress=silent)


def test_grid_is_read() -> None:
    assert parse_grid(['iterations=5,10', 'pos_std=1.5']) == {
        'iterations': (5, 10), 'pos_std': (1.5, )}
    assert parse_grid([]) == {}
    with pytest.raises(ValueError, match="grid must be one of 'iterations', .* got 'std'"):
        parse_grid(['std=1'])
    for word in ('pos_std', 'pos_std=', 'pos_std=a'):
        with pytest.raises(ValueError, match='grid must be name=value,value'):
            parse_grid([word])


def test_settings_are_all_combinations_once() -> None:
    tried = settings_of({'pos_std': (2, 9), 'bilateral_weight': (4, )}, 'deeplab_v2_vgg16')
    # The first combination is the preset itself.
    assert tried == [*PRESETS.values(), {**PRESETS['deeplab_v2_vgg16'], 'pos_std': 9}]
    with pytest.raises(ValueError, match='preset must be one of'):
        settings_of({}, 'none')


@pytest.mark.parametrize('options, message', [
    (dict(num_images=0), 'num_images must be an integer >= 1, got 0'),
    (dict(grid={'pos_std': (0, )}), 'pos_std must be a finite number > 0, got 0'),
    (dict(grid={'iterations': (1.5, )}), 'iterations must be an integer >= 0, got 1.5'),
])
def test_bad_options_end_it_before_the_network_runs(project: Path, options: dict,
                                                    message: str) -> None:
    def never(items: list, description: str) -> None:
        raise AssertionError('the network would run')

    with pytest.raises((TypeError, ValueError), match=message):
        tune_crf(project / 'config.py', str(project / 'weights.pth'), progress=never, **options)
