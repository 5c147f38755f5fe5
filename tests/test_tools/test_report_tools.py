# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""``tools/report.py`` and ``tools/tune_crf.py`` as a user calls them."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from ..test_apis.small_project import make_project


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'), num_images=2)


@pytest.fixture
def call(repo_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run a tool in this process; give what it printed."""

    def run(tool: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(repo_root / 'tools' / tool), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_report_is_written_and_printed(project: Path, tmp_path: Path, call) -> None:  # noqa: ANN001
    printed = call(
        'report.py', project / 'config.py', project / 'weights.pth', '--out', tmp_path / 'report',
        '--widths', '2', '4', '--crf', 'deeplab_v1', '--absent', 'zero', '--limit', '1',
        '--cfg-options', 'tta_model.fusion=mean')
    assert (tmp_path / 'report' / 'report.md').read_text() in printed
    assert '| output | mIoU | trimap mIoU, 2 px | trimap mIoU, 4 px | s/image |' in printed
    assert 'DenseCRF(preset=deeplab_v1)' in printed
    assert 'count as 0' in printed and 'limited to the first 1' in printed
    runs = json.loads((tmp_path / 'report' / 'runs.json').read_text())
    assert len(runs) == 3
    pair = f'{project / "config.py"}:{project / "weights.pth"}'
    again = call(
        'report.py', pair, '--out', tmp_path / 'report', '--widths', '2', '4', '--crf',
        'deeplab_v1', '--absent', 'zero', '--limit', '1', '--cfg-options', 'tta_model.fusion=mean')
    assert again.count('kept from an earlier run') == 3


def test_crf_is_tuned(project: Path, tmp_path: Path, call) -> None:  # noqa: ANN001
    printed = call(
        'tune_crf.py', project / 'config.py', project / 'weights.pth', '--images', '1', '--grid',
        'iterations=1,2', '--preset', 'deeplab_v1', '--aug-test', '--device', 'cpu', '--out',
        tmp_path / 'trials.json')
    trials = json.loads((tmp_path / 'trials.json').read_text())['trials']
    # None, the four presets, and two of the grid.
    assert len(trials) == 7
    assert 'no CRF' in printed and '(kraehenbuehl)' in printed
    assert f'{trials[0]["miou"]:6.2f}' in printed


@pytest.mark.parametrize('tool, arguments, message', [
    ('report.py', ['config.py'], 'expected CONFIG CHECKPOINT, or any number of CONFIG:CHECKPOINT'),
    ('report.py', ['a.py:b', '--crf', 'none'], "invalid choice: 'none'"),
    ('tune_crf.py', ['a', 'b', '--grid', 'std=1'], "grid must be one of 'iterations'"),
    ('tune_crf.py', ['a', 'b', '--preset', 'none'], "invalid choice: 'none'"),
])
def test_bad_arguments_end_with_a_message(
    call, capsys: pytest.CaptureFixture, tool: str, arguments: list, message: str  # noqa: ANN001
) -> None:
    with pytest.raises(SystemExit) as stop:
        call(tool, *arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
