# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A validation on its own asks the checkpoint hook for nothing."""

from pathlib import Path

from mmseg.registry import HOOKS
from small_segmentors import build, lrr_config

from .small_test import make_images
from .test_lrr_visualization_hook import make_runner


def test_validation_alone_runs(tmp_path: Path) -> None:
    runner = make_runner(build(lrr_config()), make_images(tmp_path / 'images', 1), tmp_path)
    runner.register_hook(HOOKS.build(dict(type='LRRCheckpointHook', by_epoch=False)))
    assert 'mIoU' in runner.val()
    assert not list(tmp_path.rglob('*.pth'))
