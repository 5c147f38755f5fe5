# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the documents hold: fenced blocks, commands, links, headings."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: README, the pages, and the READMEs beside configs and tools, relative to the repository.
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in (
        ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md'),
        *(ROOT / 'configs').rglob('*.md'), *(ROOT / 'tools').rglob('*.md')))

_FENCE = re.compile(r'^```(?P<language>\w*)\n(?P<body>.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is its first line's number in the document."""

    language: str
    body: str
    line: int

    @property
    def file_name(self) -> str | None:
        """Name of the file that the block shows: its first line is ``# name.py``."""
        named = re.match(r'# ([\w.-]+\.py)\n', self.body)
        return named and named[1]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding='utf-8')


def blocks(document: str) -> list[Block]:
    """Fenced blocks of a document, in order."""
    text = read(document)
    return [Block(found['language'], found['body'], text.count('\n', 0, found.start()) + 2)
            for found in _FENCE.finditer(text)]


def commands(document: str) -> list[tuple[list[str], str]]:
    """Words of the commands in a document's ``bash`` blocks, and what they need.

    ``a && b`` is two commands. A comment ``# needs ...`` holds for those below it in its block.
    """
    found = []
    for block in blocks(document):
        needs = ''
        for line in block.body.replace('\\\n', ' ').splitlines() if block.language == 'bash' else ():
            mark = re.match(r'# needs (.+)', line)
            needs = mark[1] if mark else needs
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


def anchors(document: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r'^#+ (.+)$', prose(document), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
            for heading in headings}
