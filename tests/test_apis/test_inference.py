# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Inference from Python: ours at multiple scales, and mmseg's."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer

from mmseg_lrr.apis import inference_model_tta, init_model_tta
from mmseg_lrr.apis.testing import configure_test
from mmseg_lrr.models import DenseCRF

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline
from .small_project import CLASSES

CRF = dict(iterations=1, bilateral_std_xy=20)


def load(project: Path, name: str) -> np.ndarray:
    """BGR, as the loaders give it."""
    return cv2.imread(str(project / 'data' / 'images' / name))


def init(project: Path, **options) -> torch.nn.Module:
    return init_model_tta(
        str(project / 'config.py'), str(project / 'weights.pth'), device='cpu', **options)


def test_paths_arrays_and_lists_give_the_results_of_the_test(project: Path) -> None:
    model = init(project)
    assert not model.training and model.dataset_meta['classes'] == CLASSES
    cfg = Config.fromfile(project / 'config.py')
    reference = build(configure_test(cfg, tta=True).model)
    zero, one = (predict(reference, tta_pipeline(), load(project, name)).seg_logits.data
                 for name in ('0.png', '1.png'))
    path, array = project / 'data' / 'images' / '0.png', load(project, '1.png')
    for given, expected in (((path, array), [zero, one]), ([array, str(path)], [one, zero])):
        for result, logits in zip(inference_model_tta(model, given), expected, strict=True):
            assert torch.equal(result.seg_logits.data, logits)
    assert torch.equal(inference_model_tta(model, path).seg_logits.data, zero)


def test_crf_and_options(project: Path) -> None:
    image = load(project, '0.png')
    plain = inference_model_tta(init(project), image)
    expected = DenseCRF(**CRF)(image[..., ::-1].copy(), plain.seg_logits.data.exp())
    cfg = Config.fromfile(project / 'config.py')
    before = cfg.pretty_text
    # Named in the call, or in the config.
    for options in (dict(crf=dict(type='DenseCRF', **CRF)),
                    dict(cfg_options={'tta_model.crf': dict(type='DenseCRF', **CRF)})):
        model = init_model_tta(cfg, str(project / 'weights.pth'), device='cpu', **options)
        refined = inference_model_tta(model, image)
        torch.testing.assert_close(refined.seg_logits.data.exp(), expected, rtol=0, atol=1e-5)
    assert cfg.pretty_text == before


# ------------------------------------------------------------------------- mmseg's functions


@pytest.mark.parametrize('tta', [True, False])
def test_inferencer(project: Path, tmp_path: Path, tta: bool) -> None:
    """mmseg's, on a config whose model and test pipeline are those asked for."""
    cfg = configure_test(Config.fromfile(project / 'config.py'), tta=tta,
                         crf=dict(type='DenseCRF', **CRF))
    cfg.dump(tmp_path / 'config.py')
    inferencer = MMSegInferencer(
        str(tmp_path / 'config.py'), str(project / 'weights.pth'), device='cpu',
        classes=CLASSES, palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    path = str(project / 'data' / 'images' / '0.png')
    image = load(project, '0.png')
    expected = predict(build(cfg.model), tta_pipeline() if tta else single_pipeline(), image)
    with_labels = dict(
        img_path=path, seg_map_path=str(project / 'data' / 'labels' / '0.png'),
        reduce_zero_label=False, seg_fields=[])
    for given in (path, image, [path, image], with_labels):
        # The pipeline works in the dict.
        found = inferencer(copy.deepcopy(given))['predictions']
        for one in found if isinstance(given, list) else [found]:
            np.testing.assert_array_equal(one, expected.pred_sem_seg.data[0].numpy())
    inferencer([path, image], out_dir=str(tmp_path / 'out'))
    assert all(len(list((tmp_path / 'out' / kind).iterdir())) == 2 for kind in ('pred', 'vis'))
