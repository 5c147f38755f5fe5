# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Multi-scale inference from Python, ours and through the toolbox's inferencer."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model

from mmseg_lrr.apis import inference_model_tta, init_model_tta
from mmseg_lrr.apis.testing import configure_test
from mmseg_lrr.models import DenseCRF

from ..small_segmentors import build, predict, single_pipeline, tta_pipeline
from .small_project import CLASSES, make_project

CRF = dict(iterations=1, bilateral_std_xy=20)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


def load(project: Path, name: str) -> np.ndarray:
    """BGR, as the loaders give it."""
    return cv2.imread(str(project / 'data' / 'images' / name))


def init(project: Path, **options) -> torch.nn.Module:
    return init_model_tta(
        str(project / 'config.py'), str(project / 'weights.pth'), device='cpu', **options)


def test_result_is_that_of_the_test(project: Path) -> None:
    model = init(project)
    assert not model.training
    assert model.dataset_meta['classes'] == CLASSES
    path = project / 'data' / 'images' / '0.png'
    result = inference_model_tta(model, path)
    cfg = Config.fromfile(project / 'config.py')
    reference = build(configure_test(cfg, tta=True).model)
    expected = predict(reference, tta_pipeline(), load(project, '0.png'))
    assert torch.equal(result.seg_logits.data, expected.seg_logits.data)
    assert result.pred_sem_seg.shape == (50, 70)


def test_paths_arrays_and_lists_in_any_order(project: Path) -> None:
    model = init(project)
    paths = [project / 'data' / 'images' / f'{index}.png' for index in (0, 1)]
    arrays = [load(project, path.name) for path in paths]
    first, second = inference_model_tta(model, paths)
    assert (first.pred_sem_seg.shape, second.pred_sem_seg.shape) == ((50, 70), (54, 64))
    mixed = inference_model_tta(model, (arrays[0], str(paths[1])))
    for a, b in zip(mixed, (first, second), strict=True):
        assert torch.equal(a.seg_logits.data, b.seg_logits.data)
    # Files after arrays: nothing of the config has changed.
    again = inference_model_tta(model, paths[0])
    assert torch.equal(again.seg_logits.data, first.seg_logits.data)


def test_crf_and_options(project: Path) -> None:
    image = load(project, '0.png')
    plain = inference_model_tta(init(project), image)
    refined = inference_model_tta(init(project, crf=dict(type='DenseCRF', **CRF)), image)
    expected = DenseCRF(**CRF)(image[..., ::-1].copy(), plain.seg_logits.data.exp())
    torch.testing.assert_close(refined.seg_logits.data.exp(), expected, rtol=0, atol=1e-5)
    mean = inference_model_tta(
        init(project, cfg_options={'tta_model.fusion': 'mean'}), image)
    assert not torch.equal(mean.seg_logits.data, plain.seg_logits.data)


def test_config_is_not_changed_and_its_own_crf_runs(project: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    cfg.tta_model.crf = dict(type='DenseCRF', iterations=1, bilateral_std_xy=20)
    before = cfg.pretty_text
    model = init_model_tta(cfg, device='cpu', cfg_options={'tta_model.fusion': 'mean'})
    assert isinstance(model.crf, DenseCRF)
    assert model.crf.bilateral_std_xy == 20
    assert cfg.pretty_text == before


def test_config_without_tta_is_refused(project: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    cfg.pop('tta_pipeline')
    with pytest.raises(KeyError, match='needs tta_pipeline in the config'):
        init_model_tta(cfg, device='cpu')


# ---------------------------------------------------------------------- the toolbox's functions


def inferencer(project: Path, tmp_path: Path, tta: bool) -> MMSegInferencer:
    """The toolbox's, on a config whose model and test pipeline are those asked for."""
    cfg = configure_test(Config.fromfile(project / 'config.py'), tta=tta, crf=dict(
        type='DenseCRF', **CRF))
    cfg.dump(tmp_path / 'config.py')
    return MMSegInferencer(
        str(tmp_path / 'config.py'), str(project / 'weights.pth'), device='cpu',
        classes=CLASSES, palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]])


@pytest.mark.parametrize('tta', [True, False])
def test_toolbox_inferencer(project: Path, tmp_path: Path, tta: bool) -> None:
    runs = inferencer(project, tmp_path, tta)
    path = str(project / 'data' / 'images' / '0.png')
    image = load(project, '0.png')
    cfg = configure_test(Config.fromfile(project / 'config.py'), tta=tta, crf=dict(
        type='DenseCRF', **CRF))
    pipeline = tta_pipeline() if tta else single_pipeline()
    expected = predict(build(cfg.model), pipeline, image)
    labels = expected.pred_sem_seg.data[0].numpy()
    with_labels = dict(
        img_path=path, seg_map_path=str(project / 'data' / 'labels' / '0.png'),
        reduce_zero_label=False, seg_fields=[])
    for given in (path, image, [path, image], with_labels):
        # The pipeline works in the dict.
        found = runs(copy.deepcopy(given))['predictions']
        for one in found if isinstance(given, list) else [found]:
            np.testing.assert_array_equal(one, labels)
    sample = runs(with_labels, return_datasamples=True)
    assert ('gt_sem_seg' in sample) and sample.seg_logits.shape == (50, 70)
    runs([path, image], out_dir=str(tmp_path / 'out'))
    assert len(list((tmp_path / 'out' / 'pred').iterdir())) == 2
    assert len(list((tmp_path / 'out' / 'vis').iterdir())) == 2


def test_toolbox_inference_function(project: Path) -> None:
    cfg = Config.fromfile(project / 'config.py')
    model = init_model(cfg, str(project / 'weights.pth'), device='cpu')
    path = str(project / 'data' / 'images' / '0.png')
    from_file = inference_model(model, path)
    from_array = inference_model(model, load(project, '0.png'))
    assert torch.equal(from_file.seg_logits.data, from_array.seg_logits.data)
