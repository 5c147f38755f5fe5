# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every command in the documents is run, or says what it needs and is parsed."""

from __future__ import annotations

import argparse
import configparser
import glob
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from mmengine.config import Config
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer

from mmseg_lrr.apis.toolbox import find_script

from .documents import DOCUMENTS, ROOT, Command, commands
from .workshop import substituted

#: What commands may need and are still run: the workshop has it, in small.
IN_WORKSHOP = ('', 'CamVid')

#: Documents that have commands.
WITH_COMMANDS = [document for document in DOCUMENTS if commands(document)]

#: Part of a command that is run -> file that it has to leave behind.
LEAVES = {
    'compute_bases.py': 'camvid_bases.npy',
    'tune_crf.py': 'crf.json',
    'CONFIG CHECKPOINT --out report': 'report/report.html',
    '--out predictions': 'predictions/0.png',
    'visualize.py levels': 'work_dirs/visualize/levels',
    'visualize.py masks CONFIG': 'work_dirs/visualize/masks',
    'visualize.py errors': 'work_dirs/visualize/errors',
    'visualize.py bases': 'work_dirs/visualize/bases.png',
    'visualize.py trimap': 'work_dirs/visualize/trimap.png',
    '--show-dir show': 'show',
    'browse_dataset.py': 'browsed/a.jpg',
    '--out camvid_predictions': 'camvid_predictions/c.png',
    'confusion_matrix.py': 'confusion/confusion_matrix.png',
}

#: Part of a command that is run -> what it has to print.
PRINTS = {
    'get_flops.py': 'Params: ',
    'tune_crf.py': 'no CRF',
    'trimap.widths': 'trimap_mIoU@20',
    '--parts cost': '| lrr4x_r18_camvid |',
    '--help': 'usage: ',
}

#: Part of a command that is run -> options that the test adds to save time.
SMALLER = {
    'tune_crf.py': ['--grid', 'iterations=1'],
    'report.py': ['--limit', '1', '--images', '1'],
    'visualize.py levels': ['--count', '1', '--single-scale'],
    'visualize.py masks CONFIG': ['--count', '1'],
    'visualize.py errors': ['--count', '1'],
}


class Parsed(BaseException):
    """Ends a program once its parser has understood the command line."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__()
        self.arguments = arguments


def run(words: list[str]) -> int:
    """Run ``python tools/...`` in this process; give its exit status."""
    script = Path(words[1])
    # In a process of its own a program finds no visualiser of an earlier one.
    for visualiser in (Visualizer, SegLocalVisualizer):
        visualiser._instance_dict.clear()
    saved = sys.argv, list(sys.path)
    sys.argv = words[1:]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        runpy.run_path(str(script), run_name='__main__')
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.argv, sys.path[:] = saved
    return 0


@pytest.fixture
def only_parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], argparse.Namespace]:
    """Run ``python tools/...`` as far as its parser's answer."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *args: Any, **options: Any) -> None:
        raise Parsed(parse(self, *args, **options))

    def parse_only(words: list[str]) -> argparse.Namespace:
        with monkeypatch.context() as patched:
            patched.setattr(argparse.ArgumentParser, 'parse_args', stop)
            with pytest.raises(Parsed) as parsed:
                run(words)
        return parsed.value.arguments

    return parse_only


@pytest.fixture
def in_workshop(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in the folder that stands for the repository's."""
    monkeypatch.chdir(workshop)
    yield workshop


def check_config(arguments: argparse.Namespace) -> None:
    """The config is there, and what is overridden in it is in something that it has."""
    if not isinstance(getattr(arguments, 'config', None), str | Path):
        return
    config = Config.fromfile(arguments.config)
    options = getattr(arguments, 'cfg_options', None) or {}
    for name in options:
        assert name.split('.')[0] in config, f'{arguments.config} has no {name}'
    config.merge_from_dict(options)


def check_other(words: list[str]) -> None:
    """A command that is not one of our tools: what it names is there."""
    program, *rest = words
    if words[:2] == ['pip', 'install']:
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        extras = re.findall(r'\.\[([\w,]+)\]', words[-1])
        assert words[-1].startswith('.')
        assert set(','.join(extras).split(',')) - {''} <= set(setup['options.extras_require'])
    elif program == 'pytest':
        paths = [word for word in rest if '/' in word]
        assert all((ROOT / path).exists() for path in paths)
        options = [word for word in rest if word not in paths]
        # What is counted is compared by test_case_counts.py, which runs the command.
        counting = ['-m', '', '-n', '0', '--collect-only', '-qq']
        assert options in ([], ['-m', 'slow']) or options[:len(counting)] == counting
    else:
        assert words == ['ruff', 'check', '.'], f'no rule for the command {words}'


def understand(command: Command, only_parse: Callable) -> None:
    """Check a command that needs more than a test has."""
    words = shlex.split(re.sub(r'configs/lrr/CONFIG\.py', 'configs/lrr/lrr4x_r101_voc.py',
                               substituted(command.text)))
    if words[0].startswith('tools/dist_'):
        # The script, its config and number of processes, and options of tools/train.py or test.py.
        script, config, processes, *rest = words
        assert (ROOT / script).is_file() and int(processes) > 1
        words = ['python', script.replace('dist_', '').replace('.sh', '.py'), config, *rest]
    if words[0] != 'python':
        check_other(words)
        return
    check_config(only_parse(words))


@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_commands_that_need_something_are_understood(
    document: str, in_workshop: Path, only_parse: Callable
) -> None:
    for command in commands(document):
        if command.needs not in IN_WORKSHOP:
            understand(command, only_parse)


@pytest.fixture
def _small_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the confusion matrix at 20 dots an inch, not 300: it has 22 inches."""
    subplots = plt.subplots
    monkeypatch.setattr(plt, 'subplots', lambda *args, **options: subplots(
        *args, **{**options, **({'dpi': 20} if 'dpi' in options else {})}))


@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_other_commands_run(
    document: str, in_workshop: Path, _small_figures: None, capfd: pytest.CaptureFixture
) -> None:
    for command in commands(document):
        if command.needs not in IN_WORKSHOP:
            continue
        words = [name for word in shlex.split(substituted(command.text))
                 for name in (sorted(glob.glob(word)) if '*' in word else [word])]
        assert words[0] == 'python', (
            f'{document}, line {command.line}: say above it what it needs: {command.text}')
        words += [word for part, more in SMALLER.items() if part in command.text for word in more]
        assert run(words) == 0, command.text
        output = ''.join(capfd.readouterr())
        for part, text in PRINTS.items():
            if part in command.text:
                assert text in output, command.text
        for part, name in LEAVES.items():
            if part in command.text:
                assert (in_workshop / name).exists(), command.text


@pytest.mark.slow
def test_benchmark_measures_without_a_gpu(
    in_workshop: Path, capfd: pytest.CaptureFixture
) -> None:
    """The toolbox's script counts 200 images, which is too long for every day."""
    (command, ) = (command for command in commands('docs/testing.md')
                   if 'benchmark.py' in command.text)
    assert run(shlex.split(substituted(command.text))) == 0
    assert float(re.search(r'Overall fps: ([0-9.]+) img / s', capfd.readouterr().out)[1]) > 0
    assert list((in_workshop / 'work_dirs' / 'speed').glob('fps_*.json'))


def test_every_expectation_belongs_to_a_command() -> None:
    texts = [command.text for document in WITH_COMMANDS for command in commands(document)
             if command.needs in IN_WORKSHOP]
    for part in (*LEAVES, *PRINTS, *SMALLER):
        assert any(part in text for text in texts), part


def test_ci_runs_the_readmes_command() -> None:
    """The script takes the one line of the README that begins and ends so."""
    pattern = re.search(r"grep --max-count=1 '([^']+)'", (ROOT / '.ci' / 'run').read_text())[1]
    (line, ) = re.findall(pattern, (ROOT / 'README.md').read_text(), re.M)
    assert line == 'pip install -e ".[cpu,test]" && pytest'


def test_toolbox_scripts_are_those_of_the_toolbox(capsys: pytest.CaptureFixture) -> None:
    assert run(['python', str(ROOT / 'tools' / 'toolbox.py')]) == 0
    listed = capsys.readouterr().out.split()
    assert 'analysis_tools/get_flops.py' in listed
    assert find_script('analysis_tools/get_flops.py').is_file()
    assert run(['python', str(ROOT / 'tools' / 'toolbox.py'), 'none.py']) == 2
    assert "MMSegmentation's none.py was not found" in capsys.readouterr().err
