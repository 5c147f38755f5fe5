# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Where metrics write: looked at when they are built, not after the last image."""

import os
from pathlib import Path
from typing import Any

from mmengine import dist

from mmseg_lrr.ops import checks


def output_file(name: str, value: Any) -> str | os.PathLike:
    """Return ``value``; raise unless a file can be made or replaced there.

    Raises:
        TypeError, ValueError: It is no path.
        IsADirectoryError: It is a folder.
        NotADirectoryError: It lies below a file.
    """
    if _checked(name, value).is_dir():
        raise IsADirectoryError(f'{name} must be a file to make or replace, got the folder '
                                f'{str(value)!r}')
    return value


def output_folder(name: str, value: Any) -> str | os.PathLike:
    """Return ``value``; raise unless it is a folder or one can be made there.

    Raises:
        TypeError, ValueError: It is no path.
        NotADirectoryError: It is a file, or lies below one.
    """
    path = _checked(name, value)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f'{name} must be a folder, got the file {str(value)!r}')
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


def _checked(name: str, value: Any) -> Path:
    """Check what files and folders have in common."""
    if '\0' in str(checks.path(name, value)):
        raise ValueError(f'{name} must be a path without NUL characters, got {value!r}')
    path = Path(value)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(f'{name} must lie in a folder, got {str(value)!r} below the file '
                                 f'{above}')
    return path
