# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every command in the documents is understood by its tool's own parser."""

import argparse
import configparser
import glob
import re
import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from mmengine.config import Config

from .documents import DOCUMENTS, ROOT, commands

WITH_COMMANDS = [document for document in DOCUMENTS if commands(document)]


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


def parsed(words: list[str]) -> dict:
    """Run ``python tools/...`` as far as its parser's answer, and give that."""
    parse = argparse.ArgumentParser.parse_args

    def stop(*args: Any, **options: Any) -> None:
        raise Parsed(vars(parse(*args, **options)))

    with mock.patch('argparse.ArgumentParser.parse_args', stop), pytest.raises(Parsed) as found:
        run(words)
    return found.value.args[0]


def with_files(words: list[str]) -> list[str]:
    """Put the workshop's files in place of ``CONFIG`` and its like."""
    words = [word.replace('lrr/CONFIG.py', 'lrr/lrr4x_r101_voc.py') for word in words]
    return [re.sub(r'\bCONFIG(_[AB])?\b', r'small/config\1.py', word) for word in words]


@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_commands_are_understood(
        document: str, at_work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    for words, _ in commands(document):
        words = with_files(words)
        while '=' in words[0]:
            monkeypatch.setenv(*words.pop(0).split('='))
        if words[0].startswith('tools/dist_'):
            script, config, processes, *rest = words
            assert (ROOT / script).is_file() and int(processes) > 1
            words = ['python', script.replace('dist_', '').replace('.sh', '.py'), config, *rest]
        if words[0] == 'pip':
            assert set(words[-1][2:-1].split(',')) <= set(setup['options.extras_require'])
        elif words[0] == 'pytest':
            assert (ROOT / words[-1]).exists() or words == ['pytest']
        elif '--help' in words:
            run(words)
        elif isinstance((arguments := parsed(words)).get('config'), str | Path):
            config, options = Config.fromfile(arguments['config']), arguments.get('cfg_options')
            # What is overridden is in something that the config has.
            assert {name.split('.')[0] for name in options or ()} <= set(config)
            config.merge_from_dict(options or {})


@pytest.mark.slow
@pytest.mark.parametrize('document', WITH_COMMANDS)
def test_commands_run(document: str, at_work: Path) -> None:
    """Those that need nothing, or CamVid, in order: one may read what another has written."""
    for words, needs in commands(document):
        if needs in ('', 'CamVid'):
            run([name for word in with_files(words)
                 for name in (sorted(glob.glob(word)) if '*' in word else [word])])
