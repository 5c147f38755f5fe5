# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A folder like the repository's, with small data where the documents' commands look for data."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from test_configs.small_world import make

from ..test_apis.small_project import make_project
from .documents import DOCUMENTS, ROOT, blocks

#: What stands for a file in the documents, and the file that the workshop has.
PLACEHOLDERS = {
    'CONFIG': 'small/config.py',
    'CONFIG_A': 'small/config.py',
    'CONFIG_B': 'small/other.py',
    'CHECKPOINT': 'small/weights.pth',
    'CHECKPOINT_A': 'small/weights.pth',
    'CHECKPOINT_B': 'small/weights.pth',
    'CHECKPOINT_CAMVID': 'camvid.pth',
    'CHECKPOINT_SHAPES': 'shapes.pth',
}


def make_workshop(folder: Path) -> Path:
    """Make it; ``CONFIG`` and its like become files.

    It holds the repository's own ``configs`` and ``tools``, every data set of the configs in
    small, a small config with weights, random weights of the CamVid and the demo's network, and
    every file that a document shows.

    Returns:
        The folder that stands for the repository's.
    """
    root = folder / 'repository'
    make(root)
    voc = root / 'data' / 'VOCdevkit' / 'VOC2012'
    # As the toolbox's own configs of VOC12aug want it.
    (voc / 'SegmentationClass').symlink_to(voc / 'SegmentationClassAug')
    for split, name in (('train', 'a'), ('aug', 'b')):
        (voc / 'ImageSets' / 'Segmentation' / f'{split}.txt').write_text(f'{name}\n')
    for name in ('configs', 'tools', 'tests', 'docs', 'setup.cfg'):
        (root / name).symlink_to(ROOT / name)
    small = make_project(root / 'small')
    config = re.sub('WARNING', 'INFO', (small / 'config.py').read_text())
    for name in ('config.py', 'other.py'):
        (small / name).write_text(config)
    for name, used in (('camvid', 'lrr4x_r18_camvid'), ('shapes', 'lrr4x_r18_shapes_demo')):
        save_random_weights(root / 'configs' / 'lrr' / f'{used}.py', root / f'{name}.pth')
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.file_name:
                (root / block.file_name).write_text(substituted(block.body))
    return root


def save_random_weights(config: Path, path: Path) -> None:
    """Write a checkpoint of a config's network as it is before training."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def substituted(text: str) -> str:
    """Put the workshop's files in place of ``CONFIG``, ``CHECKPOINT`` and their like."""
    return re.sub(r'\b(?:CONFIG|CHECKPOINT)(?:_[A-Z]+)?\b(?!\.py)',
                  lambda found: PLACEHOLDERS[found[0]], text)
