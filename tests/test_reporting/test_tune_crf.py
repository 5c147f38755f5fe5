# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The search of the CRF's settings: each trial against the CRF itself and a confusion matrix."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg_lrr.apis.testing import configure_test
from mmseg_lrr.models import DenseCRF
from mmseg_lrr.models.post_processing.dense_crf import PRESETS
from mmseg_lrr.reporting import tune_crf as module
from mmseg_lrr.reporting.tune_crf import tune_crf

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline

# One combination is the preset itself.
GRID = {'iterations': (1, 10), 'bilateral_std_xy': (30, 65)}


@pytest.mark.parametrize('tta', [False, True])
def test_every_trial(project: Path, tmp_path: Path, tta: bool) -> None:
    cfg = Config.fromfile(project / 'config.py')
    trials = tune_crf(cfg, str(project / 'weights.pth'), num_images=3, grid=GRID, tta=tta,
                      out=tmp_path / 'out.json')
    model = build(configure_test(cfg, tta=tta).model)
    images, maps, truth = [], [], []
    for index in (0, 2, 4):
        images.append(np.asarray(Image.open(project / 'data' / 'images' / f'{index}.png')))
        truth.append(np.asarray(Image.open(project / 'data' / 'labels' / f'{index}.png')))
        sample = predict(model, tta_pipeline() if tta else single_pipeline(),
                         images[-1][..., ::-1].copy())
        # Kept in half precision.
        maps.append(sample.seg_logits.data.exp().numpy().astype(np.float16).astype(np.float32))

    settings = [trial.settings for trial in trials]
    wanted = [None, *PRESETS.values(), *(
        {**PRESETS['deeplab_v2_vgg16'], 'iterations': iterations, 'bilateral_std_xy': std}
        for iterations in GRID['iterations'] for std in GRID['bilateral_std_xy'])]
    assert all(settings.count(one) == 1 for one in wanted)
    assert len(settings) == len(wanted) - 1

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
    assert scores == sorted(scores, reverse=True) and len(set(scores)) > 3

    record = json.loads((tmp_path / 'out.json').read_text())
    assert record['after'] == ('multi-scale' if tta else 'single pass')
    assert [Path(path).stem for path in record['images']] == ['0', '2', '4']
    assert record['trials'] == [vars(trial) for trial in trials]


def test_wrong_settings_fail_before_the_network_runs(project: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, 'init_model')
    with pytest.raises(TypeError, match='std'):
        tune_crf(Config.fromfile(project / 'config.py'), '', grid={'std': (1, )})
