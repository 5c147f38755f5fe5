# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Links, file names and quotations in the documents are right."""

import ast
import re
from pathlib import Path

import pytest

from .documents import DOCUMENTS, ROOT, blocks, links, prose, read

#: Name of a config; those of parts (``_base_/models``) are named with their folder.
_CONFIG = (r'(?<!_base_/models/)\b((?:lrr|fcn)\d+[xs](?:-\w+)?_[a-z][\w-]*?)(?:\.py)?'
           r'(?=[`\s/:,;).]|$)')


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r'^#+ (.+)$', prose(str(document)), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
            for heading in headings}


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
def test_links_files_configs_and_symbols_are_there(document: str) -> None:
    for text, target in links(document):
        name, _, anchor = target.partition('#')
        path = ROOT / document if not name else (ROOT / document).parent / name
        if not re.match('[a-z]+:', target):
            assert path.exists() and (not anchor or anchor in anchors(path)), target
        if path.suffix == '.py' and (symbol := re.fullmatch(r'`([A-Za-z_][\w.]*)`', text)):
            definition(path, symbol[1])
    if document != 'CHANGELOG.md':  # which names what was.
        for name in re.findall(r'`((?:configs|docs|mmseg_lrr|tests|tools)/[a-z0-9_./-]*)`',
                               prose(document)):
            assert (ROOT / name).exists() or name == 'configs/deeplabv3plus', name  # mmseg's
    for name in re.findall(_CONFIG, read(document)):
        assert (ROOT / 'configs' / 'lrr' / f'{name}.py').is_file(), name


def test_docstrings_point_at_headings_of_method() -> None:
    """Such as docs/method.md, "Losses" and "Training"."""
    pointers = [pointer for folder in ('mmseg_lrr', 'configs', 'tools', 'tests')
                for path in (ROOT / folder).rglob('*.py')
                for pointer in re.findall(r'docs/method\.md,\s+("[^"]+"(?:\s+and\s+"[^"]+")*)',
                                          path.read_text())]
    named = {' '.join(title.split()) for pointer in pointers
             for title in re.findall('"([^"]+)"', pointer)}
    assert {'The pyramid', 'Losses'} <= named
    assert named <= set(re.findall(r'^## (.+)$', read('docs/method.md'), re.M))


def test_quoted_lines_are_those_of_the_source() -> None:
    quotations = blocks('docs/method.md', 'python')
    assert len(quotations) > 25
    for block in quotations:
        symbol, target = re.findall(r'\[`([\w.]+)`\]\(([^)]+\.py)\)', block.above)[-1]
        quoted, source = (re.sub(r'(?m)^\s+|\s+$', '', text) for text in (
            block.body, definition(ROOT / 'docs' / target, symbol)))
        assert quoted in source, symbol
