# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the documents hold: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: README, the pages, and the READMEs beside configs and tools, relative to the repository.
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / 'README.md',
        ROOT / 'CHANGELOG.md',
        *(ROOT / 'docs').glob('*.md'),
        *(ROOT / 'configs').rglob('*.md'),
        *(ROOT / 'tools').rglob('*.md'),
    )
)

_FENCE = re.compile(r'^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```$', re.M | re.S)
_LINK = re.compile(r'(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)')
_NEEDS = re.compile(r'#\s*needs\s+(?P<what>.+)')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence.
        body: The lines between the fences.
        line: Number of the block's first line in the document.
    """

    language: str
    body: str
    line: int

    @property
    def file_name(self) -> str | None:
        """Name of the file that the block shows: its first line is ``# name.py``."""
        named = re.match(r'# ([\w/.-]+\.py)\n', self.body)
        return named[1] if named else None


@dataclass(frozen=True)
class Command:
    """One command of a ``bash`` block.

    Attributes:
        text: The command on one line, without comments.
        needs: What a comment ``# needs ...`` above it in the block says; empty if there is none.
        line: Number of its block's first line in the document.
    """

    text: str
    needs: str
    line: int

    @property
    def words(self) -> list[str]:
        """The command as a shell takes it apart."""
        return shlex.split(self.text)


def read(document: str) -> str:
    """Text of a document."""
    return (ROOT / document).read_text(encoding='utf-8')


def blocks(document: str) -> list[Block]:
    """Fenced blocks of a document, in order."""
    text = read(document)
    return [
        Block(found['language'], found['body'], text.count('\n', 0, found.start()) + 2)
        for found in _FENCE.finditer(text)
    ]


def commands(document: str) -> list[Command]:
    """Commands of a document's ``bash`` blocks, in order; ``a && b`` is two.

    A comment ``# needs ...`` holds for the commands that follow it in its block.
    """
    found = []
    for block in blocks(document):
        if block.language != 'bash':
            continue
        needs = ''
        for line in block.body.replace('\\\n', ' ').splitlines():
            mark = _NEEDS.match(line.strip())
            if mark:
                needs = mark['what']
            words = ' '.join(map(shlex.quote, shlex.split(line, comments=True)))
            for text in re.split(r" '&&' ", words):
                if text:
                    found.append(Command(text, needs, block.line))
    return found


def prose(document: str) -> str:
    """Text of a document without its fenced blocks."""
    return _FENCE.sub('', read(document))


def links(document: str) -> list[tuple[str, str]]:
    """Texts and targets of the links and pictures of a document."""
    return [(found['text'], found['target']) for found in _LINK.finditer(prose(document))]


def anchors(document: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r'^#+ (.+)$', prose(document), re.M)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-') for heading in headings
    }
