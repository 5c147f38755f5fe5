# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the pictures show is what the network says, whatever config it comes from."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.apis import inference_model, init_model
from mmseg.datasets import PascalVOCDataset

from mmseg_lrr.apis.inference import inference_model_tta, init_model_tta
from mmseg_lrr.apis.testing import configure_test, crf_config
from mmseg_lrr.reporting.examples import ExampleMaker, checkpoint_bases, single_pass

from ..small_segmentors import lrr_config, stock_config
from ..test_apis.small_project import CLASSES, config, save_weights

LEVELS = ['32x', '16x', '8x', '4x']


@pytest.fixture(scope='module')
def cfg(project: Path) -> Config:
    return Config.fromfile(project / 'config.py')


def test_every_output_is_the_networks(project: Path, cfg: Config) -> None:
    crf, weights = crf_config(), str(project / 'weights.pth')
    maker = ExampleMaker(cfg, weights, crf=crf, masks=[])
    assert maker.classes == list(CLASSES)
    assert list(map(tuple, maker.palette)) == [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
    example = maker.make(maker.test_set()[1])

    path = project / 'data' / 'images' / '1.png'
    labels = cv2.imread(str(project / 'data' / 'labels' / '1.png'), cv2.IMREAD_UNCHANGED)
    assert example.name == '1'
    np.testing.assert_array_equal(example.image, cv2.imread(str(path))[..., ::-1])
    np.testing.assert_array_equal(example.labels, labels)
    single = inference_model(init_model(configure_test(cfg), weights, 'cpu'), str(path))
    expected = {level: single.get(f'pred_sem_seg_{level}') for level in LEVELS}
    for name, used in (('ms', None), ('ms-crf', crf)):
        model = init_model_tta(cfg, weights, 'cpu', crf=used)
        expected[name] = inference_model_tta(model, path).pred_sem_seg
    assert list(example.predictions) == list(expected)
    for name, field in expected.items():
        np.testing.assert_array_equal(example.predictions[name], field.data[0].numpy(), name)
    assert len({labels.tobytes() for labels in example.predictions.values()}) == 6


@torch.no_grad()
def test_masks_lie_on_the_image_and_end_where_the_network_does(project: Path, cfg: Config) -> None:
    """Each pixel shows the mask's pixel that covers it, counted from the canvas."""
    weights = str(project / 'weights.pth')
    cut = copy.deepcopy(cfg)
    cut.model.test_cfg.last_level = '8x'
    whole, chosen, coarse = (
        ExampleMaker(used, weights, multi_scale=False, masks=masks)
        for used, masks in ((cfg, []), (cfg, ['c', 'a']), (cut, [])))
    info = whole.test_set()[0]
    example, some, less = whole.make(info), chosen.make(info), coarse.make(info)
    assert list(example.predictions) == LEVELS and list(less.predictions) == LEVELS[:3]

    model = init_model(configure_test(cfg), weights, 'cpu')
    batch = model.data_preprocessor(pseudo_collate([whole._pipeline(dict(info))]), False)
    # The 50 x 70 image is scaled to 46 x 64 and centred on a canvas of 64 x 64.
    assert batch['inputs'].shape[2:] == (64, 64)
    assert batch['data_samples'][0].padding_size == [0, 0, 9, 9]
    scores = model.decode_head.forward_levels(model.extract_feat(batch['inputs']))
    masks = model.decode_head.level_masks(scores)
    assert list(example.masks) == list(masks) == LEVELS[1:] and list(less.masks) == LEVELS[1:3]
    for level, mask in masks.items():
        stride = {'16x': 4, '8x': 2, '4x': 1}[level]
        assert example.masks[level].shape == (1, 50, 70)
        assert some.masks[level].shape == (2, 50, 70)
        for row, column in ((0, 0), (49, 69), (20, 33), (7, 50), (41, 3)):
            y = (int((row + .5) * 46 / 50) + 9) // stride
            x = int((column + .5) * 64 / 70) // stride
            values = mask[0, :, y, x].numpy()
            assert example.masks[level][0, row, column] == values.max()
            assert some.masks[level][:, row, column].tolist() == [values[2], values[0]]
        if level in less.masks:
            np.testing.assert_array_equal(less.masks[level], example.masks[level])


def test_stock_segmentors_and_heads(project: Path) -> None:
    """LRRHead in mmseg's segmentor gives its levels; another head its one output."""
    stock = config(project, lrr_config(type='EncoderDecoder'))
    stock.tta_model = dict(type='SegTTAModel')
    maker = ExampleMaker(stock, project / 'weights.pth', crf=crf_config())
    assert list(maker.make(maker.test_set(1)[0]).predictions) == [*LEVELS, 'ms', 'ms-crf']

    other = config(project, stock_config())
    save_weights(other, project / 'stock.pth')
    assert checkpoint_bases(project / 'stock.pth') == {}
    maker = ExampleMaker(other, project / 'stock.pth', masks=[])
    example = maker.make(maker.test_set(1)[0])
    assert list(example.predictions) == ['single scale', 'ms'] and example.masks == {}
    other.pop('tta_model')
    maker = ExampleMaker(other, project / 'stock.pth')
    assert list(maker.make(maker.test_set(1)[0]).predictions) == ['single scale']


def test_config_that_mmseg_kept_of_a_tta_test(project: Path, cfg: Config) -> None:
    kept = configure_test(cfg, tta=True, crf=crf_config())
    plain = single_pass(kept)
    assert plain.model.type == 'LRREncoderDecoder'
    assert plain.test_dataloader.dataset.pipeline == cfg.test_pipeline
    assert kept.model.type == 'LRRTTAModel'  # not changed


@pytest.mark.parametrize('absent', ['data set', 'its files'])
def test_the_data_set_need_not_be_there(project: Path, cfg: Config, tmp_path: Path, absent: str
                                        ) -> None:
    """For images that are named, the checkpoint knows the classes."""
    cfg = copy.deepcopy(cfg)
    weights, names = project / 'weights.pth', list(CLASSES)
    if absent == 'data set':
        for name in ('test_dataloader', 'test_evaluator', 'test_cfg'):
            cfg.pop(name)
    else:
        cfg.model.decode_head.num_classes = 21
        weights, names = tmp_path / 'weights.pth', list(PascalVOCDataset.METAINFO['classes'])
        save_weights(cfg, weights)
        state = torch.load(weights, weights_only=False)
        torch.save({**state, 'meta': dict(dataset_meta=PascalVOCDataset.METAINFO)}, weights)
        cfg.test_dataloader.dataset = dict(
            type='PascalVOCDataset', data_root=str(tmp_path), ann_file='list.txt',
            pipeline=cfg.test_pipeline)
    maker = ExampleMaker(cfg, weights)
    assert maker.classes == names
    example = maker.make(dict(img_path=str(project / 'data' / 'images' / '0.png')))
    assert list(example.predictions) == [*LEVELS, 'ms'] and example.labels is None


def test_wrong_classes_are_refused(project: Path, cfg: Config) -> None:
    with pytest.raises(ValueError, match="class must be one of 'a', 'b', 'c', got 'd'"):
        ExampleMaker(cfg, project / 'weights.pth', masks=['d'])
    cfg = copy.deepcopy(cfg)
    cfg.pop('test_dataloader')
    state = torch.load(project / 'weights.pth', weights_only=False)
    state['meta'] = dict(dataset_meta=dict(classes=('a', 'b'), palette=[[0] * 3] * 2))
    torch.save(state, project / 'two.pth')
    with pytest.raises(ValueError, match='the network has 3 classes, but 2 names and 2 colours'):
        ExampleMaker(cfg, project / 'two.pth')
