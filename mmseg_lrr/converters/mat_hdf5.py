# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reading MATLAB files of version 7.3, which are HDF5."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from .mat_allowance import MAX_DEPTH, Allowance, most_unpacked
from .mat_values import MatFileError, StructArray, Unread

_NUMERIC_CLASSES = {
    'single', 'double', 'logical',
    'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
}  # fmt: skip


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
        self._allowance = Allowance()

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
            MatFileError: If it is nested too deep, refers to nothing, lies in another file, or is
                larger than any network.
        """
        if depth > MAX_DEPTH:
            raise MatFileError(f'values are nested more than {MAX_DEPTH} deep')
        kind = node.attrs.get('MATLAB_class', b'')
        kind = kind.decode('ascii', 'replace') if isinstance(kind, bytes) else str(kind)
        if 'MATLAB_sparse' in node.attrs:
            return Unread('sparse array')
        if isinstance(node, h5py.Group):
            return self._struct(node, depth) if kind == 'struct' else Unread(f'object {kind}')
        if not isinstance(node, h5py.Dataset):
            raise MatFileError(f'{node.name} is neither a group nor a data set')
        if node.attrs.get('MATLAB_empty', 0):
            return self._empty(node, kind)
        if kind == 'cell':
            return self._references(node, depth)
        if kind == 'char':
            return self._text(node)
        # A complex array is of a compound type.
        if kind in _NUMERIC_CLASSES and node.dtype.kind in 'biuf':
            return self._data(node).T
        return Unread(kind or 'value without a class')

    def _data(self, node: h5py.Dataset) -> np.ndarray:
        """Reads a data set.

        Raises:
            MatFileError: If it lies in another file, is of a kind that MATLAB does not write, or
                larger than the file or any network can have.
        """
        if node.external or node.is_virtual:
            raise MatFileError(f'the data of {node.name} lie in another file, which is not read')
        if not node.ndim:
            raise MatFileError(f'{node.name} has no axes; MATLAB writes two or more')
        # HDF5 looks for such chunks without end.
        if node.chunks and len(node.chunks) != node.ndim:
            raise MatFileError(
                f'{node.name}, of shape {node.shape}, is stored in chunks of shape {node.chunks}')
        # Texts and arrays of any length take no room of their own in a data set.
        if node.dtype.kind not in 'biuf' and h5py.check_ref_dtype(node.dtype) is None:
            raise MatFileError(f'{node.name} holds {node.dtype}, neither numbers nor references')
        what, size = f'{node.name}, of shape {node.shape},', node.size * node.dtype.itemsize
        self._allowance.take(what, size)
        stored = node.id.get_storage_size()
        if size > most_unpacked(stored):
            raise MatFileError(f'{what} unpacks from {stored} bytes to {size}; no network does')
        return node[()]

    def _text(self, node: h5py.Dataset) -> str | list[str]:
        if node.dtype.kind != 'u' or node.dtype.itemsize > 2 or not node.ndim:
            raise MatFileError(f'{node.name} holds {node.dtype}, no characters')
        self._allowance.take_text(f'{node.name}, of shape {node.shape},', node.size,
                                  node.size // max(node.shape[0], 1))
        codes = np.atleast_2d(self._data(node).T).astype('<u2')
        lines = codes.reshape(-1, codes.shape[-1])
        texts = [line.tobytes().decode('utf-16-le', 'replace') for line in lines]
        return texts[0] if len(texts) == 1 else texts

    def _empty(self, node: h5py.Dataset, kind: str) -> Any:
        if kind == 'struct':
            return StructArray()
        if kind == 'cell':
            return []
        if kind == 'char':
            return ''
        shape = tuple(int(size) for size in self._data(node))
        if 0 not in shape:
            raise MatFileError(f'{node.name} is called empty, but of shape {shape}')
        return np.zeros(shape)

    def _struct(self, group: h5py.Group, depth: int) -> StructArray:
        fields = {name: self.member(group, name) for name in group}
        self._allowance.take(group.name, values=len(fields))
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
        references = self._data(node).ravel()
        self._allowance.take(node.name, values=len(references))
        if not all(references):
            raise MatFileError(f'{node.name} refers to a value that is not in the file')
        return [self.value(self._file[reference], depth + 1) for reference in references]
