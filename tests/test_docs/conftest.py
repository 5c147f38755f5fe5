# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The workshop, and quick runs in it."""

from pathlib import Path

import pytest

from .workshop import make_workshop


@pytest.fixture(scope='module')
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for the repository's."""
    return make_workshop(tmp_path_factory.mktemp('documents'))


@pytest.fixture(autouse=True)
def _quick_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the config's text on one line, and do not ask the system for its compilers."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
