# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""MATLAB files as plain data."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat
from scipy.io.matlab import matfile_version

from mmseg_lrr.files import replacing


def read_mat(path: str | os.PathLike, names: Iterable[str]) -> dict[str, Any]:
    """Read variables of a MATLAB file of version 5 to 7, or of version 7.3 (needs h5py).

    A numeric array becomes an ``ndarray`` of MATLAB's shape, a text a ``str``, a cell array a
    ``list``, a struct array, also one of a single struct, a ``list`` of dictionaries.

    Args:
        path: The file.
        names: Variables to read; those that the file lacks are left out.

    Returns:
        dict[str, Any]: The variables found, by name.
    """
    path, names = str(path), list(names)
    if matfile_version(path, appendmat=False)[0] == 2:
        return _read_hdf5(path, names)
    found = loadmat(path, appendmat=False, variable_names=names)
    return {name: _plain(found[name]) for name in names if name in found}


def write_mat(path: str | os.PathLike, variables: dict[str, Any]) -> None:
    """Write variables, in the form that :func:`read_mat` returns, to a file of version 7."""
    with replacing(path) as temporary:
        savemat(str(temporary), _matlab(variables), appendmat=False, long_field_names=True)


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names:
        return [{k: _plain(e[k]) for k in value.dtype.names} for e in value.ravel('F')]
    if value.dtype.hasobject:
        return [_plain(element) for element in value.ravel('F')]
    return ''.join(value.ravel()) if value.dtype.kind == 'U' else value


def _matlab(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _matlab(field) for name, field in value.items()}
    if not isinstance(value, list):
        return value
    structs = bool(value) and isinstance(value[0], dict)
    array = np.empty((1, len(value)), [(k, object) for k in value[0]] if structs else object)
    for i, element in enumerate(value):
        array[0, i] = tuple(map(_matlab, element.values())) if structs else _matlab(element)
    return array


def _read_hdf5(path: str, names: list[str]) -> dict[str, Any]:
    import h5py  # an extra

    def plain(node: Any) -> Any:
        if isinstance(node, h5py.Group):
            # The fields of a struct array, but of no single struct, are references of no class.
            one = any('MATLAB_class' in field.attrs for field in node.values())
            columns = [[plain(field)] if one else plain(field) for field in node.values()]
            return [dict(zip(node, row, strict=True)) for row in zip(*columns, strict=True)]
        value, kind = node[()], node.attrs.get('MATLAB_class', b'').decode()
        if 'MATLAB_empty' in node.attrs:
            return {'char': '', 'cell': [], 'struct': []}.get(kind, np.zeros(value.astype(int)))
        if value.dtype.hasobject:
            return [plain(file[reference]) for reference in value.ravel()]
        return ''.join(map(chr, value.ravel())) if kind == 'char' else value.T

    with h5py.File(path) as file:
        return {name: plain(file[name]) for name in names if name in file}
