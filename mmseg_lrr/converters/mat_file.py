# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reading MATLAB files as plain data, and writing them."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque, MatReadError, whosmat

from .mat_values import MatFileError, StructArray, Unread

_HDF5_SIGNATURE = b'\x89HDF\r\n\x1a\n'
# MATLAB leaves 512 bytes for its own header; HDF5 allows 0 and every power of two from there.
_HDF5_OFFSETS = (0, 512, 1024, 2048)
# What the readers raise on bytes that are not what they should be.
_V7_ERRORS = (MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, zlib.error,
              struct.error,
              EOFError, OverflowError, MemoryError, NotImplementedError)  # fmt: skip
# Of version 7: length of the header, and the code of a compressed variable.
_HEADER, _COMPRESSED = 128, 15
# A variable that unpacks to more bytes than this, and this many times its packed length, is no
# network; weights hardly pack at all. Small label maps pack well.
_SMALL, _MAX_RATIO = 64 * 2**20, 20
_MAX_ELEMENTS = 2**28
_HDF5_ERRORS = (OSError, ValueError, TypeError, KeyError, RuntimeError, MemoryError)


def read_mat(path: str | os.PathLike, names: Iterable[str]) -> dict[str, Any]:
    """Reads variables of a MATLAB file, of version 7.3 (HDF5) or older, as plain data.

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
    values, found = (_read_hdf5 if _is_hdf5(path) else _read_v7)(path, names)
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
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as file:
            savemat(file, variables, format='5', long_field_names=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_hdf5(path: Path) -> bool:
    with path.open('rb') as file:
        for offset in _HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                return True
    return False


def _refuse_bombs(path: Path, names: list[str]) -> None:
    """Refuses a file that would unpack, or be made, to far more than it holds.

    In version 7 each variable is a zlib stream of its own, whose first bytes say how long it is.

    Raises:
        MatFileError: If a variable is such.
    """
    for name, shape, _ in whosmat(path, appendmat=False):
        if name in names and math.prod(shape) > _MAX_ELEMENTS:
            raise MatFileError(f'{path}: the variable {name} is said to be of shape {shape}, more '
                               f'than {_MAX_ELEMENTS} elements')
    size = path.stat().st_size
    with path.open('rb') as file:
        order = '>' if file.read(_HEADER)[-2:] == b'MI' else '<'
        while len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f'{order}II', tag)
            if kind == _COMPRESSED:
                packed = file.read(min(length, 4096))
                unpacked = zlib.decompressobj().decompress(packed, 8)
                if len(unpacked) == 8:
                    whole = struct.unpack(f'{order}II', unpacked)[1]
                    if whole > _SMALL and whole > _MAX_RATIO * length:
                        raise MatFileError(f'{path} of {size} bytes has a variable that unpacks to '
                                           f'{whole}; no network does')
                length -= len(packed)
            file.seek(length, os.SEEK_CUR)


def _read_v7(path: Path, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    try:
        found = [name for name, *_ in whosmat(path, appendmat=False)]
        wanted = [name for name in names if name in found]
        if not wanted:
            return {}, found
        _refuse_bombs(path, wanted)
        # MATLAB stores whole numbers small, whatever their class; mat_dtype gives the class back.
        loaded = loadmat(
            path,
            appendmat=False,
            variable_names=wanted,
            struct_as_record=True,
            squeeze_me=False,
            mat_dtype=True,
        )
        return {name: _plain(loaded[name]) for name in wanted}, found
    except MatFileError:
        raise
    except _V7_ERRORS as error:
        raise MatFileError(
            f'{path} cannot be read as a MATLAB file: it is damaged, cut short, or something else '
            f'({type(error).__name__}: {error})'
        ) from error


def _plain(value: Any) -> Any:
    """What SciPy made of a value, as plain data."""
    if isinstance(value, MatlabFunction):
        return Unread('function handle')
    if isinstance(value, MatlabOpaque):
        return Unread('object')
    if isinstance(value, MatlabObject):
        return Unread(f'object of class {value.classname}')
    if not isinstance(value, np.ndarray):
        return Unread('sparse array')
    flat = value.ravel(order='F') if value.dtype.hasobject else value
    if value.dtype.names is not None:
        return StructArray(
            {name: _plain(element[name]) for name in value.dtype.names} for element in flat
        )
    if value.dtype.hasobject:
        # SciPy's way to give structs without fields.
        if value.size and all(element is None for element in flat):
            return StructArray({} for _ in flat)
        return [_plain(element) for element in flat]
    if value.dtype.kind == 'U':
        rows = [str(row) for row in value.ravel()]
        return rows[0] if len(rows) == 1 else rows or ''
    return value.astype(value.dtype.newbyteorder('='), copy=False)


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
    except MatFileError as error:
        raise MatFileError(f'{path}: {error}') from error
    except _HDF5_ERRORS as error:
        raise MatFileError(
            f'{path} cannot be read as a MATLAB file of version 7.3 (HDF5): it is damaged or cut '
            f'short ({type(error).__name__}: {error})'
        ) from error
