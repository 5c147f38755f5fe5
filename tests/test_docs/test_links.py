# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Links, file names and quotations in the documents are right."""

import ast
import re
from pathlib import Path

import pytest

from .documents import DOCUMENTS, ROOT, anchors, blocks, links, prose, read

#: Name of a config; those of parts (``_base_/models``) are named with their folder.
_CONFIG = (r'(?<!_base_/models/)\b((?:lrr|fcn)\d+[xs](?:-\w+)?_[a-z][\w-]*?)(?:\.py)?'
           r'(?=[`\s/:,;).]|$)')


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    lost = []
    for _, target in links(document):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, anchor = target.partition('#')
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists() or anchor and anchor not in anchors(str(path.resolve())):
            lost.append(target)
    assert not lost


def definition(path: Path, name: str) -> str:
    """Source of a function, class, method or module variable of a file."""
    nodes = ast.parse(source := path.read_text()).body
    for part in name.split('.'):
        found = [node for node in nodes if getattr(node, 'name', None) == part
                 or part in [getattr(target, 'id', '') for target in getattr(node, 'targets', ())]]
        assert found, f'{path} has no {name}'
        nodes = getattr(found[-1], 'body', [])
    return ast.get_source_segment(source, found[-1], padded=True)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_named_files_configs_and_symbols_are_there(document: str) -> None:
    """``tools/report.py`` and ``lrr4x_r101_voc``; a class or function that links to its file."""
    names = re.findall(r'`((?:configs|docs|mmseg_lrr|tests|tools)/[a-z0-9_./-]*)`', prose(document))
    if document != 'CHANGELOG.md':  # which names what was.
        assert [name for name in names if not (ROOT / name).exists()
                and not name.startswith('configs/deeplab')] == []  # mmseg's
    configs = re.findall(_CONFIG, read(document))
    assert [name for name in configs if not (ROOT / f'configs/lrr/{name}.py').is_file()] == []
    for text, target in links(document):
        if target.endswith('.py') and (symbol := re.fullmatch(r'`([A-Za-z_][\w.]*)`', text)):
            definition((ROOT / document).parent / target, symbol[1])


def test_named_headings_are_those_of_method() -> None:
    """Docstrings point at them: docs/method.md, "Losses"."""
    named = []
    for folder in ('mmseg_lrr', 'configs', 'tools', 'tests'):
        for path in (ROOT / folder).rglob('*.py'):
            for pointer in re.findall(r'docs/method\.md,\s+((?:"[^"]+"(?:\s+and\s+)?)+)',
                                      path.read_text()):
                named += [' '.join(title.split()) for title in re.findall('"([^"]+)"', pointer)]
    assert len(named) > 10
    assert set(named) <= set(re.findall(r'^## (.+)$', read('docs/method.md'), re.M))


def test_quoted_lines_are_those_of_the_source() -> None:
    text = read('docs/method.md').splitlines()
    quotations = [block for block in blocks('docs/method.md') if block.language == 'python']
    assert len(quotations) > 25

    def stripped(lines: str) -> str:
        return '\n'.join(line.strip() for line in lines.strip().splitlines())

    for block in quotations:
        above = '\n'.join(text[:block.line])
        symbol, target = re.findall(r'\[`([\w.]+)`\]\(([^)]+\.py)\)', above)[-1]
        source = definition(ROOT / 'docs' / target, symbol)
        assert stripped(block.body) in stripped(source), f'line {block.line}, {symbol}'
