# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reading MATLAB files as plain data, and writing them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scipy.io import savemat

from mmseg_lrr.replacing import replacing

from .mat_v7 import read_v7
from .mat_values import MatFileError

_HDF5_SIGNATURE = b'\x89HDF\r\n\x1a\n'
# MATLAB leaves 512 bytes for its own header; HDF5 allows 0 and every power of two from there.
_HDF5_OFFSETS = (0, 512, 1024, 2048)
_HDF5_ERRORS = (OSError, ValueError, TypeError, KeyError, RuntimeError, MemoryError)


def read_mat(path: str | os.PathLike, names: Iterable[str]) -> dict[str, Any]:
    """Reads variables of a MATLAB file, of versions 5 to 7 or 7.3 (HDF5), as plain data.

    A numeric array becomes an ``ndarray`` of MATLAB's shape (never squeezed; at least two axes),
    a character array a ``str`` (a list of them where it has several rows), a cell array a
    ``list``, a struct array a :class:`StructArray`, both in MATLAB's order. Nothing in the file
    is executed: a function handle or an object becomes an :class:`Unread`.

    Args:
        path (str or PathLike): The file.
        names (Iterable[str]): Variables to read; those that the file lacks are left out.

    Returns:
        dict[str, Any]: The variables found, by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the file is of version 7.3 and h5py is missing.
        MatFileError: If the file cannot be read, or holds none of ``names``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no such file: {path}')
    names = list(names)
    try:
        values, found = (_read_hdf5 if _is_hdf5(path) else read_v7)(path, names)
    except MatFileError as error:
        raise MatFileError(f'{path}: {error}') from error
    if not values:
        raise MatFileError(
            f'{path} holds none of the variables {", ".join(names)}; it holds '
            f'{", ".join(sorted(found)) or "no variable at all"}'
        )
    return values


def write_mat(path: str | os.PathLike, variables: dict[str, Any]) -> None:
    """Writes variables to a MATLAB file of version 7, whole or not at all.

    Args:
        path (str or PathLike): The file; an existing one is replaced.
        variables (dict[str, Any]): What ``scipy.io.savemat`` takes.
    """
    with replacing(path) as temporary, temporary.open('wb') as file:
        savemat(file, variables, format='5', long_field_names=True)


def _is_hdf5(path: Path) -> bool:
    with path.open('rb') as file:
        for offset in _HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                return True
    return False


def _read_hdf5(path: Path, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    try:
        import h5py

        from .mat_hdf5 import Hdf5Reader
    except ImportError as error:
        raise ImportError(
            f'{path} is a MATLAB file of version 7.3 (HDF5), which needs h5py. '
            'Remedy: pip install h5py'
        ) from error
    try:
        with h5py.File(path, 'r') as file:
            found = [name for name in file if not name.startswith('#')]
            reader = Hdf5Reader(file)
            return {
                name: reader.value(reader.member(file, name)) for name in names if name in found
            }, found
    except MatFileError:
        raise
    except _HDF5_ERRORS as error:
        raise MatFileError(
            'cannot be read as a MATLAB file of version 7.3 (HDF5): it is damaged or cut short '
            f'({type(error).__name__}: {error})'
        ) from error
