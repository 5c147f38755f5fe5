# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Links, pictures and file names in the documents lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

from .documents import DOCUMENTS, ROOT, Block, anchors, blocks, links, prose

#: Folders whose files are named in the text as they are seen from the repository.
_FOLDERS = 'configs|docs|mmseg_lrr|tests|tools'

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
        if not path.exists():
            lost.append(target)
        elif anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix()):
            lost.append(target)
    assert not lost, f'{document} links to what is not there: {lost}'


@pytest.mark.parametrize('document', DOCUMENTS)
def test_named_files_are_there(document: str) -> None:
    """In the text, ``tools/report.py`` and the like; capitals and braces stand for something."""
    names = re.findall(rf'`((?:{_FOLDERS})/[a-z0-9_./-]*)`', prose(document))
    names = [name for name in names if not name.startswith('configs/deeplab')]  # the toolbox's
    lost = [name for name in names if not (ROOT / name).exists()]
    assert not lost, f'{document} names what is not there: {lost}'


@pytest.mark.parametrize('document', DOCUMENTS)
def test_named_configs_are_there(document: str) -> None:
    """Names such as ``lrr4x_r101_voc``, with or without ``.py``, in text and commands."""
    text = prose(document) + ''.join(block.body for block in blocks(document))
    names = re.findall(_CONFIG, text)
    lost = {name for name in names if not (ROOT / 'configs' / 'lrr' / f'{name}.py').is_file()}
    assert not lost, f'{document} names configs that are not there: {sorted(lost)}'


def definition(path: Path, name: str) -> str:
    """Source of a function, class, method or module variable of a file.

    Raises:
        LookupError: The file has no such name.
    """
    source = path.read_text(encoding='utf-8')
    nodes = ast.parse(source).body
    for part in name.split('.'):
        found = [
            node for node in nodes
            if getattr(node, 'name', None) == part or part in _assigned(node)
        ]
        if not found:
            raise LookupError(f'{path} has no {name}')
        node = found[-1]
        nodes = getattr(node, 'body', [])
    return ast.get_source_segment(source, node, padded=True)


def _assigned(node: ast.AST) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def lines(text: str) -> str:
    """Text with every line stripped."""
    return '\n'.join(line.strip() for line in text.strip().splitlines())


@pytest.mark.parametrize('document', DOCUMENTS)
def test_linked_symbols_are_in_their_files(document: str) -> None:
    for text, target in links(document):
        symbol = re.fullmatch(r'`([A-Za-z_][\w.]*)`', text)
        path = (ROOT / document).parent / target
        if symbol and path.suffix == '.py' and symbol[1] != path.name:
            definition(path, symbol[1])


def quotations() -> list[tuple[str, Path, Block]]:
    """The quoted lines of method.md: symbol, file, block."""
    document = 'docs/method.md'
    text = (ROOT / document).read_text(encoding='utf-8').splitlines()
    found = []
    for block in blocks(document):
        if block.language == 'python':
            above = '\n'.join(text[:block.line])
            symbol, target = re.findall(r'\[`([\w.]+)`\]\(([^)]+\.py)\)', above)[-1]
            found.append((symbol, (ROOT / document).parent / target, block))
    return found


QUOTATIONS = quotations()


def test_method_quotes_code() -> None:
    assert len(QUOTATIONS) > 25
    assert {'LRRHead._refine', 'BoundaryMask.forward', 'reconstruct'} <= {
        symbol for symbol, _, _ in QUOTATIONS}


@pytest.mark.parametrize(
    'symbol, path, block', QUOTATIONS,
    ids=[f'{symbol}-{block.line}' for symbol, _, block in QUOTATIONS])
def test_quoted_lines_are_those_of_the_source(symbol: str, path: Path, block: Block) -> None:
    assert lines(block.body) in lines(definition(path, symbol))
