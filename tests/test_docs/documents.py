# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the documents hold: fenced blocks, commands, links, headings."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

#: README, the pages, and the READMEs beside configs and tools, relative to the repository.
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in (
        ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md'),
        *(ROOT / 'configs').rglob('*.md'), *(ROOT / 'tools').rglob('*.md')))

_FENCE = re.compile(r'^```(?P<language>\w*)\n(?P<body>.*?)^```$', re.M | re.S)


class Block(NamedTuple):
    """A fenced block, the text above it, and its file's name if its first line is ``# name.py``."""

    body: str
    above: str
    file_name: str


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding='utf-8')


def blocks(document: str, language: str) -> list[Block]:
    """Fenced blocks of a document in a language."""
    return [Block(found['body'], found.string[:found.start()],
                  re.match(r'# ([\w.-]+\.py)\n|', found['body'])[1] or '')
            for found in _FENCE.finditer(read(document)) if found['language'] == language]


def commands(document: str) -> list[tuple[list[str], str]]:
    """Words of a document's commands, and what a comment ``# needs ...`` above them says."""
    found = []
    for block in blocks(document, 'bash'):
        needs = ''
        for line in block.body.replace('\\\n', ' ').splitlines():
            needs = line.removeprefix('# needs ') if line.startswith('# needs ') else needs
            for text in line.split(' && '):
                if words := shlex.split(text, comments=True):
                    found.append((words, needs))
    return found


def prose(document: str) -> str:
    """Text of a document without its fenced blocks."""
    return _FENCE.sub('', read(document))


def links(document: str) -> list[tuple[str, str]]:
    """Texts and targets of the links and pictures of a document."""
    return re.findall(r'\[([^\]]*)\]\(([^)\s]+)\)', prose(document))
