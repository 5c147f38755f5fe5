# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Strips of evenly spaced images reach the visualiser, in validation and in testing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from small_segmentors import build, lrr_config, stock_config, tta_pipeline
from torch import nn

from mmseg_lrr.visualization.panels import Example, draw_levels

from .small_test import make_images, make_runner

LEVELS = ('32x', '16x', '8x', '4x')
CLASSES, PALETTE = ('a', 'b', 'c'), [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
HOOK = dict(type='LRRVisualizationHook', cell_width=60)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp('images'))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, np.ndarray, int]]:
    """What reaches the visualiser."""
    images: list = []
    add_image = Visualizer.add_image

    def record(self: Visualizer, name: str, image: np.ndarray, step: int = 0) -> None:
        images.append((name, image, step))
        add_image(self, name, image, step)

    monkeypatch.setattr(Visualizer, 'add_image', record)
    return images


def expected_strip(model: nn.Module, runner: Runner, folder: Path, index: int,
                   names: dict[str, str]) -> np.ndarray:
    """The strip of an image from a pass of its own."""
    with torch.no_grad():
        (sample, ) = model.test_step(pseudo_collate([runner.test_dataloader.dataset[index]]))
    image = cv2.imread(str(folder / 'images' / f'{index}.png'))[..., ::-1]
    labels = cv2.imread(str(folder / 'labels' / f'{index}.png'), cv2.IMREAD_UNCHANGED)
    predictions = {name: sample.get(field).data[0].numpy() for name, field in names.items()}
    return draw_levels([Example(str(index), image, labels, predictions)], CLASSES, PALETTE,
                       cell_width=60)


@pytest.mark.parametrize('mode', ['val', 'test'])
def test_levels_of_some_images_are_sent(folder: Path, tmp_path: Path, sent: list, mode: str
                                        ) -> None:
    # The hook has the levels stored by itself.
    model = build(lrr_config(test_cfg=dict(level_outputs=False)))
    runner, _ = make_runner(model, folder, tmp_path, hooks=[dict(HOOK, count=3)])
    metrics = getattr(runner, mode)()
    assert [name for name, _, _ in sent] == [f'{mode}_levels_{index}' for index in (0, 2, 4)]
    assert [step for _, _, step in sent] == [0] * 3
    assert {f'mIoU_{level}' for level in LEVELS} <= set(metrics)
    names = {level: f'pred_sem_seg_{level}' for level in LEVELS}
    for index, (_, strip, _) in zip((0, 2, 4), sent, strict=True):
        np.testing.assert_array_equal(
            strip, expected_strip(model, runner, folder, index, names))
    # The local backend has written them.
    for name, strip, _ in sent:
        (file, ) = tmp_path.rglob(f'{name}_0.png')
        np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], strip)


@pytest.mark.parametrize('name', ['prediction', 'ms', 'ms-crf'])
def test_final_output_where_there_are_no_levels(folder: Path, tmp_path: Path, sent: list,
                                                name: str) -> None:
    """Of mmseg's segmentor, and in multi-scale testing."""
    if name == 'prediction':
        model, pipeline = build(stock_config()), None
    else:
        crf = dict(type='DenseCRF', iterations=1, bilateral_std_xy=20) if 'crf' in name else None
        model = build(dict(type='LRRTTAModel', module=lrr_config(), crf=crf))
        pipeline = tta_pipeline(file=True)
    runner, _ = make_runner(model, folder, tmp_path, pipeline=pipeline, hooks=[dict(HOOK, count=1)])
    runner.test()
    ((title, strip, _), ) = sent
    assert title == 'test_levels_0'
    np.testing.assert_array_equal(
        strip, expected_strip(model, runner, folder, 0, {name: 'pred_sem_seg'}))
