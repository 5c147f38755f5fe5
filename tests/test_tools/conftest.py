# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Tools, run in the process of the tests."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
sys.path += [str(TOOLS / name) for name in ('benchmarks', 'experiments', 'model_converters')]


@pytest.fixture(autouse=True)
def _quick_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the config's text on one line, and do not ask the system for its compilers."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a tool, by its path below ``tools`` or as a module; give what it printed."""

    def run(tool: str | ModuleType, *arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
        if isinstance(tool, str):
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        else:
            tool.main()
        return capsys.readouterr().out

    return run
