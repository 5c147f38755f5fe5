# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The search of the CRF's settings: each trial against the CRF itself and a confusion matrix."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmseg_lrr.apis.testing import configure_test
from mmseg_lrr.models import DenseCRF
from mmseg_lrr.models.post_processing.dense_crf import PRESETS
from mmseg_lrr.reporting import tune_crf as module
from mmseg_lrr.reporting.tune_crf import tune_crf

from ..small_segmentors import build, predict, tta_pipeline
from ..test_apis.small_project import concatenated, miou

# One combination is the preset itself.
GRID = {'iterations': (1, 10), 'bilateral_std_xy': (30, 65)}


def test_every_trial(project: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    trials = tune_crf(cfg, str(project / 'weights.pth'), num_images=3, grid=GRID, tta=True,
                      out=tmp_path / 'out.json')
    model = build(configure_test(cfg, tta=True).model)
    images = [cv2.imread(str(project / 'data' / 'images' / f'{index}.png')) for index in (0, 2, 4)]
    # Kept in half precision.
    maps = [predict(model, tta_pipeline(), image).seg_logits.data.exp().half().float().numpy()
            for image in images]
    truth = concatenated(project / 'data' / 'labels', (0, 2, 4))

    settings = [trial.settings for trial in trials]
    wanted = [None, *PRESETS.values(), *(
        {**PRESETS['deeplab_v2_vgg16'], 'iterations': iterations, 'bilateral_std_xy': std}
        for iterations in GRID['iterations'] for std in GRID['bilateral_std_xy'])]
    assert all(settings.count(one) == 1 for one in wanted)
    assert len(settings) == len(wanted) - 1

    for trial in trials:
        crf = None if trial.settings is None else DenseCRF(**trial.settings)
        labels = [(crf(image[..., ::-1].copy(), item) if crf else item).argmax(axis=0).ravel()
                  for image, item in zip(images, maps, strict=True)]
        assert trial.miou == pytest.approx(miou(np.concatenate(labels), truth), abs=1e-9)
        assert (trial.seconds_per_image > 0) == (crf is not None)
    scores = [trial.miou for trial in trials]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) > 3

    record = json.loads((tmp_path / 'out.json').read_text())
    assert record['after'] == 'multi-scale'
    assert [Path(path).stem for path in record['images']] == ['0', '2', '4']
    assert record['trials'] == [vars(trial) for trial in trials]


def test_wrong_settings_fail_before_the_network_runs(project: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, 'init_model')
    with pytest.raises(TypeError, match='std'):
        tune_crf(Config.fromfile(project / 'config.py'), '', grid={'std': (1, )})
