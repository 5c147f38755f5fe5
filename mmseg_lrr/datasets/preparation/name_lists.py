# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Lists of image names, one a line, as the toolbox reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mmseg_lrr.replacing import replacing

from .run_jobs import Report

# No separators, no drive letters, and no dot at the start: a name stays inside its folder.
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*')


def safe_name(name: str, source: str | Path) -> str:
    """Return a name that is to become a file's; refuse one that could leave the folder.

    Args:
        name: The name.
        source: Where it comes from, for the message.

    Raises:
        ValueError: If it is more than letters, digits, ``_``, ``-`` and ``.``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f'{source} has the name {name!r}; expected letters, digits, "_", "-" and "." only'
        )
    return name


def read_names(path: str | Path) -> list[str]:
    """Read a list of names, one a line; empty lines are skipped.

    Raises:
        FileNotFoundError: If the list is missing.
        ValueError: If a name comes twice or could leave the folder.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'the list {path} is missing')
    lines = path.read_text(encoding='utf-8').splitlines()
    names = [safe_name(line.strip(), path) for line in lines if line.strip()]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f'{path} has names twice: {", ".join(twice[:5])}')
    return names


def write_names(path: Path, names: Iterable[str], report: Report) -> None:
    """Write a list of names, sorted, whole or not at all, unless the report says otherwise.

    With problems no list is written: a list that lacks what is broken, or names it, would do harm
    long after. One of an earlier run is kept, and the report says so. In a dry run none is written
    either.

    Args:
        path: The list.
        names: The names.
        report: Takes the number of names, or the list that is kept.
    """
    names = sorted(names)
    if report.problems:
        if path.exists():
            report.old_lists.append(str(path))
        return
    report.lists[str(path)] = len(names)
    if not report.dry_run:
        with replacing(path) as temporary:
            temporary.write_text(''.join(f'{name}\n' for name in names), encoding='utf-8')
