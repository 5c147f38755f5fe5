# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the pictures show is what the network says, whatever config it comes from."""

import copy
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from mmseg.datasets import PascalVOCDataset

from mmseg_lrr.apis.examples import ExampleMaker, find_images, picture_config
from mmseg_lrr.apis.inference import inference_model_tta, init_model_tta
from mmseg_lrr.apis.pictures import read_bases
from mmseg_lrr.apis.testing import configure_test, crf_config

from ..small_segmentors import lrr_config, stock_config
from .small_project import CLASSES, config, make_project, save_weights

LEVELS = ['32x', '16x', '8x', '4x']


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


@pytest.fixture(scope='module')
def cfg(project: Path) -> Config:
    return Config.fromfile(project / 'config.py')


def labels_of(project: Path, name: str) -> np.ndarray:
    return cv2.imread(str(project / 'data' / 'labels' / f'{name}.png'), cv2.IMREAD_UNCHANGED)


def test_every_output_is_the_networks(project: Path, cfg: Config) -> None:
    crf = crf_config()
    maker = ExampleMaker(cfg, project / 'weights.pth', crf=crf, masks=[])
    assert maker.classes == list(CLASSES)
    assert maker.palette == [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
    infos = maker.test_set()
    assert [Path(info['img_path']).name for info in infos] == ['0.png', '1.png', '2.png']
    example = maker.make(infos[1])

    path = project / 'data' / 'images' / '1.png'
    assert example.name == '1'
    np.testing.assert_array_equal(example.image, cv2.imread(str(path))[..., ::-1])
    np.testing.assert_array_equal(example.labels, labels_of(project, '1'))
    single = inference_model(
        init_model(configure_test(cfg), str(project / 'weights.pth'), 'cpu'), str(path))
    expected = {level: single.get(f'pred_sem_seg_{level}') for level in LEVELS}
    weights = str(project / 'weights.pth')
    for name, used in (('ms', None), ('ms+crf', crf)):
        model = init_model_tta(cfg, weights, 'cpu', crf=used)
        expected[name] = inference_model_tta(model, path).pred_sem_seg
    assert list(example.predictions) == list(expected)
    for name, field in expected.items():
        np.testing.assert_array_equal(example.predictions[name], field.data[0].numpy(), name)
    assert len({labels.tobytes() for labels in example.predictions.values()}) == 6


@torch.no_grad()
def test_masks_lie_on_the_image(project: Path, cfg: Config) -> None:
    """Each pixel shows the mask's pixel that covers it, counted from the canvas."""
    maximum = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False, masks=[])
    single = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False, masks=['c', 'a'])
    info = maximum.test_set()[0]
    example, chosen = maximum.make(info), single.make(info)
    assert list(example.predictions) == LEVELS

    model = init_model(configure_test(cfg), str(project / 'weights.pth'), 'cpu')
    batch = model.data_preprocessor(_collate(maximum, info), False)
    # The 50 x 70 image is scaled to 46 x 64 and centred on a canvas of 64 x 64.
    assert batch['inputs'].shape[2:] == (64, 64)
    assert batch['data_samples'][0].padding_size == [0, 0, 9, 9]
    scores = model.decode_head.forward_levels(model.extract_feat(batch['inputs']))
    masks = model.decode_head.level_masks(scores)
    assert list(example.masks) == list(masks) == LEVELS[1:]
    for level, mask in masks.items():
        stride = {'16x': 4, '8x': 2, '4x': 1}[level]
        assert example.masks[level].shape == (1, 50, 70)
        assert chosen.masks[level].shape == (2, 50, 70)
        for row, column in ((0, 0), (49, 69), (20, 33), (7, 50), (41, 3)):
            y = (int((row + .5) * 46 / 50) + 9) // stride
            x = int((column + .5) * 64 / 70) // stride
            values = mask[0, :, y, x].numpy()
            assert example.masks[level][0, row, column] == values.max()
            assert chosen.masks[level][:, row, column].tolist() == [values[2], values[0]]


def test_masks_end_where_the_network_does(project: Path, cfg: Config) -> None:
    cfg = copy.deepcopy(cfg)
    whole = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False, masks=[])
    cfg.model.test_cfg.last_level = '8x'
    maker = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False, masks=[])
    info = maker.test_set()[0]
    example, expected = maker.make(info), whole.make(info)
    assert list(example.predictions) == LEVELS[:3]
    assert list(example.masks) == LEVELS[1:3]
    for level, mask in example.masks.items():
        np.testing.assert_array_equal(mask, expected.masks[level])


def _collate(maker: ExampleMaker, info: dict) -> dict:
    from mmengine.dataset import pseudo_collate
    return pseudo_collate([maker._pipeline(dict(info))])


def test_images_are_spaced_over_the_set(project: Path, cfg: Config) -> None:
    maker = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False)

    def names(**options: int) -> list[str]:
        return [Path(info['img_path']).stem for info in maker.test_set(**options)]

    assert names(count=2) == ['0', '2']
    assert names(count=9) == ['0', '1', '2']
    assert names(count=2, limit=2) == ['0', '1']
    with pytest.raises(ValueError, match='count must be an integer >= 1, got 0'):
        maker.test_set(0)


def test_files_and_folders_with_and_without_labels(project: Path, cfg: Config,
                                                   tmp_path: Path) -> None:
    for number, name in enumerate(('b.PNG', 'deep/a.png')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(project / 'data' / 'images' / f'{number}.png', tmp_path / name)
    (tmp_path / 'notes.txt').touch()
    maker = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False)
    infos = maker.files([tmp_path, project / 'data' / 'images' / '2.png'])
    assert [Path(info['img_path']).name for info in infos] == ['b.PNG', 'a.png', '2.png']
    assert maker.make(infos[0]).labels is None
    ours = maker.files([project / 'data' / 'images'], project / 'data' / 'labels')
    np.testing.assert_array_equal(maker.make(ours[2]).labels, labels_of(project, '2'))
    with pytest.raises(FileNotFoundError, match=r'no label map a.png in .*labels'):
        maker.files([tmp_path / 'deep'], project / 'data' / 'labels')
    with pytest.raises(FileNotFoundError, match='there is no image or folder .*gone'):
        find_images([tmp_path / 'gone'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty holds no image'):
        find_images([tmp_path / 'empty'])
    shutil.copy(project / 'data' / 'labels' / '0.png', tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'a.png is \(50, 70\) pixels, but its image .*\(54, 64\)'):
        maker.make(maker.files([tmp_path / 'deep'], tmp_path)[0])


def test_names_of_label_maps_are_the_data_sets(project: Path, cfg: Config, tmp_path: Path) -> None:
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset.update(img_suffix='_left.png', seg_map_suffix='_ids.png')
    shutil.copy(project / 'data' / 'images' / '0.png', tmp_path / 'x_left.png')
    (tmp_path / 'labels' / 'city').mkdir(parents=True)
    shutil.copy(project / 'data' / 'labels' / '0.png', tmp_path / 'labels' / 'city' / 'x_ids.png')
    maker = ExampleMaker(cfg, project / 'weights.pth', multi_scale=False)
    (info, ) = maker.files([tmp_path / 'x_left.png'], tmp_path / 'labels')
    np.testing.assert_array_equal(maker.make(info).labels, labels_of(project, '0'))


def test_stock_segmentors_and_heads(project: Path) -> None:
    """LRRHead in the stock segmentor gives its levels; another head its one output."""
    stock = config(project, lrr_config(type='EncoderDecoder'))
    stock.tta_model = dict(type='SegTTAModel')
    maker = ExampleMaker(stock, project / 'weights.pth', crf=crf_config())
    assert list(maker.make(maker.test_set(1)[0]).predictions) == [*LEVELS, 'ms', 'ms+crf']
    assert maker._multi_scale.fusion == 'mean'

    other = config(project, stock_config())
    save_weights(other, project / 'stock.pth')
    maker = ExampleMaker(other, project / 'stock.pth', masks=[])
    example = maker.make(maker.test_set(1)[0])
    assert list(example.predictions) == ['single scale', 'ms'] and example.masks == {}
    other.pop('tta_model')
    maker = ExampleMaker(other, project / 'stock.pth')
    assert list(maker.make(maker.test_set(1)[0]).predictions) == ['single scale']


def test_config_that_the_toolbox_kept_of_a_tta_test(project: Path, cfg: Config) -> None:
    kept = configure_test(cfg, tta=True, crf=crf_config())
    plain = picture_config(kept)
    assert plain.model.type == 'LRREncoderDecoder'
    assert plain.test_dataloader.dataset.pipeline == cfg.test_pipeline
    assert kept.model.type == 'LRRTTAModel'  # not changed
    examples = []
    for used in (kept, cfg):
        maker = ExampleMaker(used, project / 'weights.pth')
        examples.append(maker.make(maker.test_set(1)[0]))
    assert list(examples[0].predictions) == [*LEVELS, 'ms']
    for name, labels in examples[0].predictions.items():
        np.testing.assert_array_equal(labels, examples[1].predictions[name])


def test_without_a_test_set_the_checkpoint_names_the_classes(project: Path, cfg: Config,
                                                             tmp_path: Path) -> None:
    cfg = copy.deepcopy(cfg)
    for name in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg.pop(name)
    maker = ExampleMaker(cfg, project / 'weights.pth')
    assert maker.classes == list(CLASSES)
    (info, ) = maker.files([project / 'data' / 'images' / '0.png'], project / 'data' / 'labels')
    example = maker.make(info)
    assert list(example.predictions) == [*LEVELS, 'ms']
    np.testing.assert_array_equal(example.labels, labels_of(project, '0'))
    with pytest.raises(ValueError, match='the config has no test_dataloader: name the images'):
        maker.test_set()


def test_the_data_set_need_not_be_there(project: Path, cfg: Config, tmp_path: Path) -> None:
    """Of images that are named, and of basis functions, it has to say the names alone."""
    cfg = copy.deepcopy(cfg)
    cfg.model.decode_head.num_classes = 21
    save_weights(cfg, tmp_path / 'weights.pth')
    cfg.test_dataloader.dataset.update(
        type='PascalVOCDataset', data_root=str(tmp_path / 'absent'), ann_file='list.txt')
    for name in ('metainfo', 'img_suffix', 'seg_map_suffix'):
        del cfg.test_dataloader.dataset[name]
    maker = ExampleMaker(cfg, tmp_path / 'weights.pth')
    (info, ) = maker.files([project / 'data' / 'images' / '0.png'], project / 'data' / 'labels')
    np.testing.assert_array_equal(maker.make(info).labels, labels_of(project, '0'))
    names = PascalVOCDataset.METAINFO['classes']
    assert maker.classes == list(names)
    assert read_bases(cfg, checkpoint=tmp_path / 'weights.pth')[1] == list(names)


def test_wrong_classes_are_refused(project: Path, cfg: Config) -> None:
    with pytest.raises(ValueError, match="class must be one of 'a', 'b', 'c', got 'd'"):
        ExampleMaker(cfg, project / 'weights.pth', masks=['d'])
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset.metainfo = dict(classes=('a', 'b'), palette=[[0] * 3] * 2)
    state = torch.load(project / 'weights.pth', weights_only=False)
    state['meta'] = dict(dataset_meta=dict(classes=('a', 'b'), palette=[[0] * 3] * 2))
    torch.save(state, project / 'two.pth')
    with pytest.raises(ValueError, match='the network has 3 classes, but 2 names and 2 colours'):
        ExampleMaker(cfg, project / 'two.pth')
