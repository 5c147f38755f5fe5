# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Small tests: most of a Runner's time goes into what nobody reads here."""

from pathlib import Path

import pytest

from .small_project import make_project


@pytest.fixture(autouse=True)
def _quick_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the config's text on one line, and do not ask the system for its compilers."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project with random weights."""
    return make_project(tmp_path_factory.mktemp('project'))
