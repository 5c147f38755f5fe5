# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reading MATLAB files of version 7.3, which are HDF5."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from .mat_values import MatFileError, StructArray, Unread

_NUMERIC_CLASSES = {
    'single', 'double', 'logical',
    'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
}  # fmt: skip
# A network nests a handful of levels; a reference that leads back to itself has no end.
_MAX_DEPTH = 32
# Of all arrays together: several times a VGG-16 with every level.
_MAX_BYTES = 4 * 2**30


class Hdf5Reader:
    """Turns MATLAB's use of HDF5 into plain data.

    The class of a value stands in the attribute ``MATLAB_class``. A struct is a group; in a
    struct array of other than one element, each field is a data set of references, without a
    class of its own. A cell array is a data set of references too, characters are 16-bit codes,
    an empty array is stored as its size. Axes are reversed.

    Args:
        file (h5py.File): The file that references lead into.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._left = _MAX_BYTES

    def member(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """Returns what a group holds under a name.

        Raises:
            MatFileError: If that is a link and not the thing itself.
        """
        # A link can lead out of the file; MATLAB writes none.
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise MatFileError(f'{name} is a link to elsewhere, which is not followed')
        return group[name]

    def value(self, node: h5py.Group | h5py.Dataset, depth: int = 0) -> Any:
        """Returns a value as plain data, as :func:`~.mat_file.read_mat` says.

        Raises:
            MatFileError: If it is nested too deep or refers to nothing.
        """
        if depth > _MAX_DEPTH:
            raise MatFileError(f'values are nested more than {_MAX_DEPTH} deep')
        kind = node.attrs.get('MATLAB_class', b'')
        kind = kind.decode('ascii', 'replace') if isinstance(kind, bytes) else str(kind)
        if 'MATLAB_sparse' in node.attrs:
            return Unread('sparse array')
        if isinstance(node, h5py.Dataset):
            self._count(node)
        if isinstance(node, h5py.Group):
            return self._struct(node, depth) if kind == 'struct' else Unread(f'object {kind}')
        if node.attrs.get('MATLAB_empty', 0):
            return self._empty(node, kind)
        if kind == 'cell':
            return self._references(node, depth)
        if kind == 'char':
            rows = [''.join(map(chr, row)) for row in np.atleast_2d(node[()].T)]
            return rows[0] if len(rows) == 1 else rows
        # A complex array is of a compound type.
        if kind in _NUMERIC_CLASSES and node.dtype.names is None:
            return node[()].T
        return Unread(kind or 'value without a class')

    def _count(self, node: h5py.Dataset) -> None:
        """Refuses to make arrays of more than any network has; a shape costs the file nothing."""
        self._left -= node.size * node.dtype.itemsize
        if self._left < 0:
            raise MatFileError(f'{node.name}, of shape {node.shape}, brings what is read to more '
                               f'than {_MAX_BYTES} bytes')

    @staticmethod
    def _empty(node: h5py.Dataset, kind: str) -> Any:
        if kind == 'struct':
            return StructArray()
        if kind == 'cell':
            return []
        if kind == 'char':
            return ''
        shape = tuple(int(size) for size in node[()])
        if 0 not in shape:
            raise MatFileError(f'{node.name} is called empty, but of shape {shape}')
        return np.zeros(shape)

    def _struct(self, group: h5py.Group, depth: int) -> StructArray:
        fields = {name: self.member(group, name) for name in group}
        if not any(map(self._is_array_field, fields.values())):
            return StructArray([{k: self.value(v, depth + 1) for k, v in fields.items()}])
        columns = {
            name: self._references(node, depth) if self._is_array_field(node) else []
            for name, node in fields.items()
        }
        if len(set(map(len, columns.values()))) > 1:
            raise MatFileError(f'the struct array {group.name} has fields of different lengths')
        return StructArray(
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        )

    def _is_array_field(self, node: h5py.Group | h5py.Dataset) -> bool:
        return (
            isinstance(node, h5py.Dataset)
            and h5py.check_ref_dtype(node.dtype) is not None
            and 'MATLAB_class' not in node.attrs
        )

    def _references(self, node: h5py.Group | h5py.Dataset, depth: int) -> list[Any]:
        # The reversed axes, read in C's order, are MATLAB's own order.
        references = node[()].ravel()
        if not all(references):
            raise MatFileError(f'{node.name} refers to a value that is not in the file')
        return [self.value(self._file[reference], depth + 1) for reference in references]
