# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The numbers of cases in docs/reliability.md are those that its command prints."""

import os
import re
import subprocess
import sys

from .documents import ROOT, commands, read

DOCUMENT = 'docs/reliability.md'


def test_table_of_cases() -> None:
    rows = re.findall(r'\| `(test_\w+\.py)` \| (\d+) \|', read(DOCUMENT))
    (command, ) = (command for command in commands(DOCUMENT) if command.words[0] == 'pytest')
    printed = subprocess.run(
        [sys.executable, '-m', *command.words, '-p', 'no:cacheprovider'], cwd=ROOT,
        env={**os.environ, 'PYTEST_ADDOPTS': ''}, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stdout + printed.stderr
    counted = re.findall(r'tests/test_reliability/(\w+\.py): (\d+)', printed.stdout)
    assert len(rows) > 8
    assert sorted(rows) == sorted(counted)
