# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A folder like the repository's, with small data where the documents' commands look for them."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from test_configs.small_world import make

from mmseg_lrr.converters.matconvnet import Conversion

from ..test_apis.small_project import make_project
from .documents import DOCUMENTS, ROOT, blocks


@pytest.fixture(scope='session')
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's folders, the documents' files, every data set and a network in small."""
    root = tmp_path_factory.mktemp('documents') / 'repository'
    make(root)
    voc = root / 'data' / 'VOCdevkit' / 'VOC2012'  # as mmseg's own VOC12aug has it
    (voc / 'SegmentationClass').symlink_to(voc / 'SegmentationClassAug')
    for name in ('train', 'aug'):
        (voc / 'ImageSets' / 'Segmentation' / f'{name}.txt').write_text('a\nb\n')
    for name in ('configs', 'tools', 'tests', 'docs'):
        (root / name).symlink_to(ROOT / name)
    make_project(root / 'small')
    for name in ('_A', '_B', ''):
        (root / 'small' / f'config{name}.py').write_text((root / 'small/config.py').read_text())
        (root / f'CHECKPOINT{name}').symlink_to(root / 'small' / 'weights.pth')
    (root / 'MODEL.py').write_text(Conversion(meta=dict(lrr=dict(
        num_classes=21, num_bases=10, levels=['32x', '16x', '8x', '4x'], mask_window=9,
        mean=[1., 2., 3.]))).config())
    for document in DOCUMENTS:
        for block in blocks(document, 'python'):
            if block.file_name:
                (root / block.file_name).write_text(block.body)
    for name, config in (('CAMVID', 'lrr4x_r18_camvid'), ('SHAPES', 'lrr4x_r18_shapes_demo')):
        model = MODELS.build(Config.fromfile(ROOT / f'configs/lrr/{config}.py').model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'CHECKPOINT_{name}')
    return root


@pytest.fixture
def at_work(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workshop, entered."""
    monkeypatch.chdir(workshop)
    monkeypatch.syspath_prepend(workshop)
    # Leave a config's text on one line, and do not ask the system for its compilers.
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    return workshop
