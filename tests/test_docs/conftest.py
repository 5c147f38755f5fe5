# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A folder like the repository's, with small data where the documents' commands look for them."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from test_configs.small_world import make

from ..test_apis.small_project import make_project
from .documents import DOCUMENTS, ROOT, blocks


@pytest.fixture(scope='session')
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's configs and tools, the documents' files, and every data set in small.

    ``small/config.py`` and ``CHECKPOINT`` are a small network; ``CHECKPOINT_CAMVID`` and
    ``CHECKPOINT_SHAPES`` are random weights of the configs that the documents give them to.
    """
    root = tmp_path_factory.mktemp('documents') / 'repository'
    make(root)
    if not (root / 'data' / 'camvid').exists():
        (root / 'data' / 'camvid').symlink_to(root.parent / 'shared' / 'data' / 'camvid')
    for name in ('configs', 'tools', 'tests', 'docs'):
        (root / name).symlink_to(ROOT / name)
    make_project(root / 'small')
    for name in ('config_A.py', 'config_B.py'):
        (root / 'small' / name).write_text((root / 'small' / 'config.py').read_text())
    for name in ('CHECKPOINT', 'CHECKPOINT_A', 'CHECKPOINT_B'):
        (root / name).symlink_to(root / 'small' / 'weights.pth')
    for name, config in (('CAMVID', 'lrr4x_r18_camvid'), ('SHAPES', 'lrr4x_r18_shapes_demo')):
        model = MODELS.build(Config.fromfile(ROOT / 'configs' / 'lrr' / f'{config}.py').model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'CHECKPOINT_{name}')
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.file_name:
                (root / block.file_name).write_text(block.body)
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
