# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Where metrics write: looked at when they are built, not after the last image."""

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mmengine import dist

from mmseg_lrr.ops import checks

#: Most bytes that file systems give a name.
_LONGEST = 255


def output_file(name: str, value: Any) -> str | os.PathLike:
    """Return ``value``; raise unless a file can be made or replaced there.

    Raises:
        TypeError, ValueError: It is no path.
        IsADirectoryError: It is a folder.
        FileExistsError: It is a pipe or a device.
        NotADirectoryError: It lies below a file.
        OSError: It cannot be followed, or nothing can be written there.
    """
    path = _resolved(name, value)
    # Where a/b is not there yet, a/b/.. will be a folder.
    if path.is_dir() or Path(value).name == '..':
        raise IsADirectoryError(f'{name} must be a file to make or replace, got the folder '
                                f'{str(value)!r}')
    if path.exists() and not path.is_file():
        raise FileExistsError(f'{name} must be a regular file to make or replace, got '
                              f'{str(value)!r}')
    _check_writable(name, value, path.parent)
    return value


def output_folder(name: str, value: Any) -> str | os.PathLike:
    """Return ``value``; raise unless it is a folder or one can be made there.

    Raises:
        TypeError, ValueError: It is no path.
        NotADirectoryError: It is a file, or lies below one.
        OSError: It cannot be followed, or nothing can be written there.
    """
    path = _resolved(name, value)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f'{name} must be a folder, got the file {str(value)!r}')
    _check_writable(name, value, path)
    return value


def claim_name(sources: dict[str, str], name: str, image: str) -> None:
    """Note that an image's result goes to a file.

    Args:
        sources: File name -> image whose result it holds; it is added to.
        name: Of the file.
        image: Path of the image.

    Raises:
        ValueError: Another image's result is there: images of two folders have the same name.
    """
    source = sources.setdefault(name, image)
    if source != image:
        raise ValueError(f'{source} and {image} would both be written to {name}')


def check_names_of_all(sources: dict[str, str]) -> None:
    """Compare the files that the processes of a distributed test have written.

    Every process has to call this, and gets the same error.

    Args:
        sources: File name -> image, as :func:`claim_name` has filled it in this process.

    Raises:
        ValueError: Two images' results are in one file.
    """
    together: dict[str, str] = {}
    for share in dist.all_gather_object(sources):
        for name, image in share.items():
            claim_name(together, name, image)


def _resolved(name: str, value: Any) -> Path:
    """Return where a path leads, of files and folders alike."""
    if '\0' in str(checks.path(name, value)):
        raise ValueError(f'{name} must be a path without NUL characters, got {value!r}')
    if any(len(os.fsencode(part)) > _LONGEST for part in Path(value).parts):
        raise ValueError(f'{name} must have no name of more than {_LONGEST} bytes in it, got '
                         f'{str(value)!r}')
    try:
        os.stat(value)
    except (FileNotFoundError, NotADirectoryError):
        pass  # It can be made, or lies below a file, which is looked for later.
    except OSError as error:
        raise OSError(f'{name} must be a path that can be followed, got {str(value)!r}: {error}'
                      ) from error
    return Path(os.path.realpath(value))


def _check_writable(name: str, value: Any, folder: Path) -> None:
    """Raise unless files can be made in a folder, or in the one that it will be made in."""
    above = next(place for place in (folder, *folder.parents) if place.exists())
    if not above.is_dir():
        raise NotADirectoryError(f'{name} must lie in a folder, got {str(value)!r} below the file '
                                 f'{above}')
    try:
        # The rights do not tell: the superuser has them all, in /proc too.
        with TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OSError(f'{name} must lie where files can be made, got {str(value)!r}: {error}'
                      ) from error
