# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo from end to end, on a handful of images."""

import json
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

import demo
import mmseg_lrr


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
              capsys: pytest.CaptureFixture) -> None:
    cfg = mmseg_lrr.get_config('lrr4x_r18_shapes_demo')
    (bases, ) = (hook for hook in cfg.custom_hooks if hook.type == 'ClassBasesHook')
    bases.num_patches = 50
    monkeypatch.setattr(mmseg_lrr, 'get_config', lambda name: cfg)
    # As any run of the process before it leaves one, of the name that the configs give it.
    SegLocalVisualizer.get_instance('visualizer', save_dir=str(tmp_path / 'earlier'))
    results = demo.run_demo(tmp_path, num_train=8, num_val=3, max_iters=2)
    screen = capsys.readouterr()
    assert 'testing' in screen.out and 'WARNING' not in screen.out + screen.err

    assert json.loads((tmp_path / 'results.json').read_text()) == json.loads(json.dumps(results))
    assert list(results['levels']) == list(results['trimap']) == ['32x', '16x', '8x', '4x']
    scores = [*results['levels'].values(), results['ms'], results['ms_crf']]
    widths = [value for values in results['trimap'].values() for value in values.values()]
    assert all(0 <= score <= 100 for score in scores + widths)

    levels, masks = (cv2.imread(str(tmp_path / f'{name}.png')) for name in ('levels', 'masks'))
    # Image, ground truth, four levels, ms, ms-crf; three images below one another.
    assert levels.shape[1] > 8 * 240 and levels.shape[0] > 3 * 150
    # Image and four levels, the colour scale.
    assert 5 * 240 < masks.shape[1] < 6 * 240
    assert len({tuple(pixel) for pixel in masks[::7, ::7].reshape(-1, 3).tolist()}) > 100
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert all(f'{score:.2f}</td>' in page for score in scores)

    # Other tools find config and checkpoint, which carries the bases.
    cfg = Config.fromfile(tmp_path / 'lrr4x_r18_shapes_demo.py')
    assert cfg.test_dataloader.dataset.data_root == str(tmp_path / 'shapes')
    name = (tmp_path / 'last_checkpoint').read_text().strip()
    assert torch.load(name)['state_dict']['decode_head.bases_loaded']
