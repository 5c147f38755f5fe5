# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing on real images, with random weights: VOC, and Cityscapes in two halves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_lrr import get_config
from mmseg_lrr.apis.testing import configure_test, run_test

from .. import references
from ..small_segmentors import build, lrr_config

#: Of the 19 classes, as the benchmark numbers them.
CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CRF = dict(type='DenseCRF', preset='deeplab_v2_vgg16', iterations=1)


def with_thin_network(cfg: Config, folder: Path, num_classes: int, **test_cfg) -> str:
    """Put a small network into a config; give the file of its weights."""
    network = lrr_config(num_classes, test_cfg=dict(level_outputs=True, **test_cfg))
    network['data_preprocessor'] = dict(cfg.model.data_preprocessor)
    network['data_preprocessor'].pop('size', None)
    cfg.model = network
    cfg.work_dir = str(folder / 'work')
    cfg.log_level = 'WARNING'
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    torch.save(dict(state_dict=build(network).state_dict()), folder / 'weights.pth')
    return str(folder / 'weights.pth')


def miou(pairs: list[tuple[np.ndarray, np.ndarray]], num_classes: int) -> float:
    """Mean IoU in percent of (prediction, labels), classes absent from both left out."""
    confusion = np.zeros((num_classes, num_classes))
    for found, true in pairs:
        valid = true != 255
        np.add.at(confusion, (true[valid], found[valid]), 1)
    hits, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return float(100 * (hits[union > 0] / union[union > 0]).mean())


@pytest.mark.parametrize('tta', [False, True])
def test_voc(shared_data: Callable[[str], Path], tmp_path: Path, tta: bool) -> None:
    root = shared_data('voc')
    cfg = get_config('lrr4x_r101_voc')
    weights = with_thin_network(cfg, tmp_path, 21)
    cfg.test_dataloader.dataset.update(
        data_root=str(root), indices=2, ann_file='ImageSets/Segmentation/mini_val.txt')
    cfg.test_evaluator = [
        dict(type='LRRIoUMetric', trimap=dict(widths=[1, 5])),
        dict(type='VOCSubmission', output_dir=str(tmp_path / 'out'))]
    metrics = run_test(configure_test(cfg, tta=tta, crf=CRF), weights).metrics

    ids = (root / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[:2]
    found = tmp_path / 'out/results/VOC2012/Segmentation/comp6_test_cls'
    pairs = [(np.asarray(Image.open(found / f'{name}.png')),
              np.asarray(Image.open(root / 'SegmentationClassAug' / f'{name}.png')))
             for name in ids]
    assert len({int(label) for predicted, _ in pairs for label in np.unique(predicted)}) > 1
    assert metrics['mIoU'] == pytest.approx(miou(pairs, 21), abs=.00501)
    levels = {f'mIoU_{level}' for level in ('32x', '16x', '8x', '4x')}
    assert levels & set(metrics) == (set() if tta else levels)
    assert {'trimap_mIoU@1', 'trimap_mIoU@5'} <= set(metrics)


def cityscapes(root: Path, folder: Path) -> Path:
    """The real frame of the validation set, and its labels as trainIds."""
    (source, ) = root.glob('gtFine/val/*/*_labelIds.png')
    labels = np.asarray(Image.open(source))
    train_ids = np.full(256, 255, np.uint8)
    train_ids[list(CITYSCAPES_LABEL_IDS)] = np.arange(19)
    place = folder / source.relative_to(root)
    place.parent.mkdir(parents=True)
    Image.fromarray(train_ids[labels]).save(
        place.with_name(place.name.replace('labelIds', 'labelTrainIds')))
    (folder / 'leftImg8bit').symlink_to(root / 'leftImg8bit')
    return folder


@pytest.mark.slow
def test_cityscapes_in_halves(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = shared_data('cityscapes')
    cfg = get_config('lrr4x_vgg16_cityscapes_released')
    weights = with_thin_network(cfg, tmp_path, 19, mode='halves')
    cfg.test_dataloader.dataset.data_root = str(cityscapes(root, tmp_path / 'data'))
    cfg.test_evaluator = [
        dict(type='LRRIoUMetric', trimap=dict(widths=[1, 3])),
        dict(type='CityscapesSubmission', output_dir=str(tmp_path / 'out'))]
    metrics = run_test(cfg, weights).metrics

    (photograph, ) = root.glob('leftImg8bit/val/*/*.png')
    model = build(cfg.model)
    image = torch.from_numpy(np.asarray(Image.open(photograph)).transpose(2, 0, 1).copy())
    preprocessor = model.data_preprocessor
    inputs = ((image - preprocessor.mean) / preprocessor.std)[None]
    # Level -> stride of the map that it is judged by; the two crops and the columns they serve.
    strides = {'32x': 4, '4x': 1}
    merged = {level: np.zeros((1, 19, 1024 // stride, 2048 // stride), np.float32)
              for level, stride in strides.items()}
    for left, right, first, last in ((0, 1280, 0, 1120), (768, 2048, 928, 2048)):
        with torch.no_grad():
            features = model.extract_feat(inputs[..., left:right])
            scores = {level: item.numpy() for level, item in
                      model.decode_head.forward_levels(features).items()}
        maps = {'32x': references.softmax(references.upsample2x_zeros(scores['32x'])),
                '4x': references.softmax(scores['4x'])}
        for level, stride in strides.items():
            columns = slice(first // stride, last // stride)
            part = maps[level][..., (first - left) // stride:(last - left) // stride]
            merged[level][..., columns] = np.maximum(merged[level][..., columns], part)
        del features, scores, maps
    merged['32x'] = references.resize_bicubic(merged['32x'], 1024, 2048)

    (labels, ) = (tmp_path / 'data').glob('gtFine/val/*/*_labelTrainIds.png')
    truth = np.asarray(Image.open(labels))
    predicted = {level: maps[0].argmax(axis=0) for level, maps in merged.items()}
    assert all(len(np.unique(classes)) > 5 for classes in predicted.values())
    # Rounding may turn a pixel where two classes are equally probable.
    assert metrics['mIoU_32x'] == pytest.approx(miou([(predicted['32x'], truth)], 19), abs=.02)
    assert metrics['mIoU'] == metrics['mIoU_4x'] == pytest.approx(
        miou([(predicted['4x'], truth)], 19), abs=.02)
    written = np.asarray(Image.open(tmp_path / 'out' / photograph.name))
    assert (written != np.array(CITYSCAPES_LABEL_IDS)[predicted['4x']]).mean() < 1e-4
