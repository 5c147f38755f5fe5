# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every command in the documents is understood by its tool's own parser."""

import argparse
import configparser
import glob
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from .documents import DOCUMENTS, ROOT, commands

WITH_COMMANDS = [document for document in DOCUMENTS if commands(document)]

#: Options that spare the test time, by a part of the command.
SMALLER = {
    'tune_crf.py': ['--grid', 'iterations=1'],
    'report.py': ['--limit', '1', '--images', '1'],
    'visualize.py levels': ['--count', '1', '--single-scale'],
    'visualize.py masks': ['--count', '1'],
    'visualize.py errors': ['--count', '1'],
}


class Parsed(BaseException):
    """Ends a program once its parser has understood the command line."""


def run(words: list[str]) -> None:
    """Run ``python tools/...`` in this process."""
    saved = sys.argv, list(sys.path)
    sys.argv = words[1:]
    sys.path.insert(0, str(Path(words[1]).resolve().parent))
    try:
        runpy.run_path(words[1], run_name='__main__')
    except SystemExit as stop:
        assert not stop.code, words
    finally:
        sys.argv, sys.path[:] = saved


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], argparse.Namespace]:
    """Run ``python tools/...`` as far as its parser's answer, and give that."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *args: Any, **options: Any) -> None:
        raise Parsed(parse(self, *args, **options))

    def run_parser(words: list[str]) -> argparse.Namespace:
        with monkeypatch.context() as patched, pytest.raises(Parsed) as found:
            patched.setattr(argparse.ArgumentParser, 'parse_args', stop)
            run(words)
        return found.value.args[0]

    return run_parser


def with_files(words: list[str]) -> list[str]:
    """Put the workshop's files in place of ``CONFIG`` and its like."""
    words = [word.replace('configs/lrr/CONFIG.py', 'configs/lrr/lrr4x_r101_voc.py')
             for word in words]
    return [re.sub(r'\bCONFIG(_[AB])?\b', r'small/config\1.py', word) for word in words]


def check_other(words: list[str]) -> None:
    """A command that is not one of our tools: what it names is there."""
    if words[:2] == ['pip', 'install']:
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        extras, = re.findall(r'^\.(?:\[([\w,]+)\])?$', words[-1])
        assert set(extras.split(',')) <= set(setup['options.extras_require'])
    else:
        assert words[0] == 'pytest' and set(words[1:-1]) <= {'-m', 'slow'}
        assert words[1:] == [] or (ROOT / words[-1]).exists()


def check_tool(words: list[str], parsed: Callable) -> None:
    """One of our tools: it understands, and what is overridden is in something the config has."""
    arguments = vars(parsed(words))
    if isinstance(arguments.get('config'), str | Path):
        config, options = Config.fromfile(arguments['config']), arguments.get('cfg_options') or {}
        assert {name.split('.')[0] for name in options} <= set(config)
        config.merge_from_dict(options)


@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_commands_are_understood(document: str, at_work: Path, parsed: Callable) -> None:
    for words, _ in commands(document):
        words = with_files([word for word in words if word != 'PYTHONPATH=.'])
        if words[0].startswith('tools/dist_'):
            script, config, processes, *rest = words
            assert (ROOT / script).is_file() and int(processes) > 1
            words = ['python', script.replace('dist_', '').replace('.sh', '.py'), config, *rest]
        if words[0] != 'python':
            check_other(words)
        elif '--help' in words:
            run(words)
        else:
            check_tool(words, parsed)


@pytest.mark.slow
@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_commands_run(document: str, at_work: Path) -> None:
    """Those that need nothing, or CamVid, in order: one may read what another has written."""
    for words, needs in commands(document):
        if needs in ('', 'CamVid', 'a minute or two of a CPU'):
            smaller = [option for part, options in SMALLER.items() if part in ' '.join(words)
                       for option in options]
            run([name for word in with_files(words)
                 for name in (sorted(glob.glob(word)) if '*' in word else [word])] + smaller)
    if document == 'docs/testing.md':
        for name in ('crf.json', 'report/report.html', 'predictions/0.png', 'show',
                     'work_dirs/visualize/levels', 'work_dirs/visualize/bases.png',
                     'camvid_predictions/c.png', 'confusion/confusion_matrix.png'):
            assert (at_work / name).exists(), name


def test_ci_runs_the_readmes_command() -> None:
    pattern = re.search(r"grep --max-count=1 '([^']+)'", (ROOT / '.ci' / 'run').read_text())[1]
    line, = re.findall(pattern, (ROOT / 'README.md').read_text(), re.M)
    assert line == 'pip install -e ".[cpu,test]" && pytest'
