# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files that appear whole or not at all, and their names."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name in the folder of ``path``; rename it to ``path`` when all went well.

    The folder is made if it is not there. If the block fails, ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def output_names(paths: Collection[str]) -> dict[str, str]:
    """Name files by their stems, or, where two of these are alike, all with their subfolders."""
    stems = {path: Path(path).stem for path in paths}
    if len(set(stems.values())) == len(stems):
        return stems
    root = os.path.commonpath([os.path.dirname(path) for path in stems])
    return {path: Path(os.path.relpath(path, root)).with_suffix('').as_posix() for path in stems}
