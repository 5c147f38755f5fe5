# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name to write to, in the same folder, and rename it when all went well.

    A file of that name stays as it was until then, and for good if the writing fails. The folder
    is made if it is not there.

    Args:
        path: The file to make or replace.

    Yields:
        The temporary path. The block has to create that file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
