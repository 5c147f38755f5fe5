# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files and folders that appear whole or not at all."""

import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# A process id, as the name that replacing() gives ends.
_TEMPORARY = re.compile(r'\..+\.(\d{1,9})\.part')

_OLD = 3600.0


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name to write to, in the same folder, and rename it when all went well.

    A file of that name stays as it was until then, and for good if the writing fails; of a symbolic
    link, the file that it leads to is replaced. The folder is made if it is not there. A process's
    first file in a folder takes away what killed processes left there, see
    :func:`remove_leftovers`.

    Args:
        path: The file to make or replace.

    Yields:
        The temporary path. The block has to create that file.

    Raises:
        FileExistsError: It is there and no regular file: a folder, a pipe or a device.
    """
    path = Path(path)
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(f'{path} is no regular file, which alone could be replaced')
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(os.path.abspath(path.parent))
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary folder to fill, beside the one to make, and rename it when all went well.

    A folder of that name stays as it was until then, and goes as a whole: it is renamed before its
    files are removed, so that what a process killed meanwhile leaves is not taken for all of them.

    Args:
        path: The folder to make or replace.

    Yields:
        The temporary path, an empty folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(os.path.abspath(path.parent))
    temporary = _temporary(path)
    outdated = _temporary(path, '.old')
    for left in (temporary, outdated):
        # Of a killed process that had this one's number, as all first processes of containers do.
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, outdated)
        os.replace(temporary, path)
        shutil.rmtree(outdated, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path, more: str = '') -> Path:
    """Name a temporary file beside a path, as :func:`remove_leftovers` knows them."""
    name = path.name
    # A name has at most 255 bytes, and a character at most four.
    if len(os.fsencode(name)) > 200:
        name = f'{zlib.crc32(os.fsencode(name)):08x}{name[-40:]}'
    return path.with_name(f'.{name}{more}.{os.getpid()}.part')


# Once a folder: it may have a hundred thousand files, each written through replacing().
@cache
def remove_leftovers(folder: str) -> None:
    """Remove temporary files of processes that were killed, once in the life of this process.

    That is, files and folders with a name that :func:`replacing` or :func:`replacing_folder` gives,
    whose process is gone and which nobody has written to for an hour. The process of another
    machine, or of another container, that shares the folder cannot be asked for; its files are
    young while it writes.

    Args:
        folder: An absolute path; a folder that is not there has no leftovers.
    """
    # Gone, or another user's, or taken away by another process meanwhile: tidying up is no reason
    # not to write.
    with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and not entry.is_symlink() and not _lives(int(match[1])):
                with suppress(FileNotFoundError, PermissionError):
                    if time.time() - _last_written(Path(entry)) > _OLD:
                        (shutil.rmtree if entry.is_dir() else os.unlink)(entry)


def _last_written(path: Path) -> float:
    """When a file, or anything in a folder, was last written."""
    return max(file.lstat().st_mtime for file in (path, *path.rglob('*')))


def _lives(pid: int) -> bool:
    """Whether a process of this machine has the number; True where it cannot be asked for."""
    if os.name != 'posix':
        # os.kill(pid, 0) is no question there but an interrupt.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
