# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Reading MATLAB files of versions 5 to 7.

SciPy's compiled reader trusts what a file says of itself: one wrong byte can end the process.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .mat_allowance import MAX_DEPTH, MAX_TEXT, Allowance, most_unpacked
from .mat_values import MatFileError, StructArray, Unread

_HEADER = 128
_ORDERS = {b'\x00\x01IM': '<', b'\x01\x00MI': '>'}
_CHUNK = 2**16

# Types of data, and what NumPy calls them. Characters may be written as numbers, UTF-8 or UTF-16.
_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_NUMBERS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8',
            13: 'u8'}  # fmt: skip
_INTEGERS = {5: 'i4', 6: 'u4'}
_NAMES = {1: 'u1', 2: 'u1', _UTF8: 'u1'}
_CHARACTERS = {1: 'u1', 2: 'u1', 4: 'u2', _UTF8: 'u1', 17: 'u2'}

# Classes of arrays.
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_CLASSES = {6: 'f8', 7: 'f4', 8: 'i1', 9: 'u1', 10: 'i2', 11: 'u2', 12: 'i4', 13: 'u4', 14: 'i8',
            15: 'u8'}  # fmt: skip
_UNREAD = {_SPARSE: 'sparse array', _FUNCTION: 'function handle', _OPAQUE: 'object'}
_LOGICAL, _COMPLEX = 0x200, 0x800
_MAX_AXES = 32


def read_v7(path: Path, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Reads variables of a file as plain data, as :func:`~.mat_file.read_mat` says.

    Args:
        path (Path): The file.
        names (list[str]): Variables to read.

    Returns:
        tuple[dict[str, Any], list[str]]: The variables found, and the names of all that are there.

    Raises:
        MatFileError: If the file cannot be read, or would fill more memory than any network.
    """
    size = path.stat().st_size
    values, found = {}, []
    allowance = Allowance()
    with path.open('rb') as file:
        order = _ORDERS.get(file.read(_HEADER)[-4:])
        if order is None:
            raise _damaged('its first 128 bytes are no header of version 5 to 7')
        position = _HEADER
        while position < size:
            file.seek(position)
            tag = file.read(8)
            if len(tag) < 8:
                raise _damaged('it ends within a tag')
            kind, length = struct.unpack(f'{order}II', tag)
            if length > size - position - 8:
                raise _damaged(f'a variable of {length} bytes goes on past its end')
            if kind == _COMPRESSED:
                packed = _Packed(file, length)
                reader = _Reader(packed.read, order, allowance)
                header, end = reader.variable(math.inf)
            else:
                packed = None
                file.seek(position)
                reader = _Reader(file.read, order, allowance)
                header, end = reader.variable(8 + length)
            found.append(header.name)
            if header.name in names:
                values[header.name] = reader.content(header, end)
                if packed:
                    packed.finish()
            position += 8 + length
    # MATLAB keeps function handles' workspaces in a variable without a name.
    return values, [name for name in found if name]


def _damaged(reason: str) -> MatFileError:
    return MatFileError('cannot be read as a MATLAB file: it is damaged, cut short, or something '
                        f'else ({reason})')


class _Packed:
    """What a compressed variable unpacks to, as it is asked for.

    Args:
        file (BinaryIO): The file, where the packed bytes begin.
        length (int): How many they are.
    """

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._length = file, length
        self._packed_left, self._unpacked_left = length, most_unpacked(length)
        self._unpacker = zlib.decompressobj()

    def read(self, size: int) -> bytearray:
        """Returns so many bytes, or those that are left."""
        unpacked = bytearray()
        while len(unpacked) < size and not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_CHUNK, self._packed_left))
                self._packed_left -= len(packed)
            try:
                more = self._unpacker.decompress(packed, min(size - len(unpacked), _CHUNK))
            except zlib.error as error:
                raise _damaged(str(error)) from error
            if not more and not packed:
                break
            unpacked += more
            self._unpacked_left -= len(more)
            if self._unpacked_left < 0:
                raise MatFileError(
                    f'a variable of {self._length} bytes unpacks to more than '
                    f'{most_unpacked(self._length)}; no network does'
                )
        return unpacked

    def finish(self) -> None:
        """Reads the checksum.

        Raises:
            MatFileError: If it is wrong or not there, or more stands before it.
        """
        if self.read(1) or not self._unpacker.eof:
            raise _damaged('a compressed variable does not end where it says')


class _Header(NamedTuple):
    """What stands before the data of an array."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str


class _Reader:
    """Takes a variable apart.

    Whatever an element says of its own length is compared with the end of the array around it, and
    with what the shape asks for, before it is read.

    Args:
        read (Callable[[int], bytes]): Gives the next bytes.
        order (str): Their order, ``'<'`` or ``'>'``.
        allowance (Allowance): What may still be read of the file.
    """

    def __init__(self, read: Callable[[int], bytes], order: str, allowance: Allowance) -> None:
        self._read, self._order, self._allowance = read, order, allowance
        self._position = 0

    def variable(self, end: float) -> tuple[_Header, float]:
        """Returns what stands before a variable's data, and where the variable ends."""
        end = self._matrix_end(end)
        return self._header(end), end

    def content(self, header: _Header, end: float, depth: int = 0) -> Any:
        """Returns the data of an array as plain data."""
        if depth > MAX_DEPTH:
            raise MatFileError(f'values are nested more than {MAX_DEPTH} deep')
        if header.kind in _UNREAD:
            value = Unread(_UNREAD[header.kind])
        elif header.kind == _OBJECT:
            value = Unread(f'object of class {_name(self._element(_NAMES, end, MAX_TEXT)[1])}')
        elif header.kind == _CELL:
            value = self._cells(header, end, depth)
        elif header.kind == _STRUCT:
            value = self._structs(header, end, depth)
        elif header.kind == _CHAR:
            value = self._text(header, end)
        elif header.kind in _CLASSES:
            value = self._array(header, end)
        else:
            raise _damaged(f'there is no class of arrays {header.kind}')
        self._skip(end - self._position)
        return value

    def _nested(self, end: float, depth: int) -> Any:
        end = self._matrix_end(end)
        if self._position == end:
            # How an empty field of a struct, or an empty cell, may be written.
            return np.zeros((0, 0))
        return self.content(self._header(end), end, depth + 1)

    def _cells(self, header: _Header, end: float, depth: int) -> list[Any]:
        count = math.prod(header.shape)
        self._allowance.take(f'a cell array of shape {header.shape}', values=count)
        return [self._nested(end, depth) for _ in range(count)]

    def _structs(self, header: _Header, end: float, depth: int) -> StructArray:
        _, (length,) = self._element(_INTEGERS, end, 1, 1)
        _, names = self._element(_NAMES, end, MAX_TEXT)
        if length < 1 or len(names) % length:
            raise _damaged(f'{len(names)} characters hold no names of {length}')
        fields = [_name(name) for name in names.reshape(-1, length)]
        count = math.prod(header.shape)
        self._allowance.take(
            f'a struct array of shape {header.shape}', values=count * max(len(fields), 1)
        )
        return StructArray(
            {field: self._nested(end, depth) for field in fields} for _ in range(count)
        )

    def _text(self, header: _Header, end: float) -> str | list[str]:
        length = math.prod(header.shape)
        rows = length // header.shape[-1] if length else 1
        self._allowance.take_text(f'a text of shape {header.shape}', length, rows)
        kind, codes = self._element(_CHARACTERS, end, 4 * length)
        if kind == _UTF8:
            # MATLAB counts 16-bit codes, however they are written.
            text = codes.tobytes().decode(errors='replace').encode('utf-16-le')
            codes = np.frombuffer(text, '<u2')
        if not len(codes):
            # How MATLAB writes some texts of blanks.
            codes = np.full(length, ord(' '))
        if len(codes) != length:
            raise _damaged(f'{len(codes)} characters for the shape {header.shape}')
        if not length:
            return ''
        lines = codes.astype('<u2').reshape(header.shape, order='F').reshape(rows, -1)
        texts = [line.tobytes().decode('utf-16-le', 'replace') for line in lines]
        return texts[0] if rows == 1 else texts

    def _array(self, header: _Header, end: float) -> np.ndarray | Unread:
        if header.flags & _COMPLEX:
            return Unread('complex array')
        dtype = np.dtype(bool if header.flags & _LOGICAL else _CLASSES[header.kind])
        count = math.prod(header.shape)
        self._allowance.take(f'an array of shape {header.shape}', count * dtype.itemsize)
        # MATLAB stores whole numbers small, whatever their class.
        _, values = self._element(_NUMBERS, end, count, count)
        return values.astype(dtype, copy=False).reshape(header.shape, order='F')

    def _header(self, end: float) -> _Header:
        _, (flags, _) = self._element(_INTEGERS, end, 2, 2)
        kind = int(flags) & 0xFF
        shape: tuple[int, ...] = (1, 1)
        if kind != _OPAQUE:
            shape = tuple(self._element(_INTEGERS, end, _MAX_AXES)[1].tolist())
            if len(shape) < 2 or min(shape) < 0:
                raise _damaged(f'{shape} is no shape')
        return _Header(kind, int(flags), shape, _name(self._element(_NAMES, end, MAX_TEXT)[1]))

    def _matrix_end(self, end: float) -> float:
        """Reads the tag of an array; returns where the array ends."""
        kind, size, short = self._tag(end)
        if kind != _MATRIX or short is not None:
            raise _damaged(f'data of type {kind} where an array should be')
        if size > end - self._position:
            raise _damaged(f'an array of {size} bytes goes on past the one around it')
        return self._position + size

    def _element(
        self, types: dict[int, str], end: float, most: int, least: int = 0
    ) -> tuple[int, np.ndarray]:
        """Reads numbers; returns their type and them."""
        kind, size, data = self._tag(end)
        if kind not in types:
            raise _damaged(f'data of type {kind} where one of {", ".join(map(str, types))} should '
                           'be')
        dtype = np.dtype(types[kind]).newbyteorder(self._order)
        count, rest = divmod(size, dtype.itemsize)
        if rest or not least <= count <= most:
            expected = f'{least}' if least == most else f'{least} to {most}'
            raise _damaged(f'{size} bytes of data where {expected} of {dtype.name} should be')
        if data is None:
            data = self._take(size, end)
            self._skip(min(-size % 8, end - self._position))
        return kind, np.frombuffer(data, dtype)

    def _tag(self, end: float) -> tuple[int, int, bytes | None]:
        """Reads the type and size of what follows, and the data if they stand in the tag."""
        (word,) = struct.unpack(f'{self._order}I', self._take(4, end))
        kind, size = word & 0xFFFF, word >> 16
        if not size:
            return kind, *struct.unpack(f'{self._order}I', self._take(4, end)), None
        if size > 4:
            raise _damaged(f'{size} bytes of data in a tag')
        return kind, size, self._take(4, end)[:size]

    def _take(self, size: int, end: float) -> bytes:
        if size > end - self._position:
            raise _damaged(f'data of {size} bytes go on past the end of their array')
        data = self._read(size)
        if len(data) < size:
            raise _damaged('it ends within an array')
        self._position += size
        return data

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._take(min(size, _CHUNK), math.inf))


def _name(codes: np.ndarray) -> str:
    return codes.tobytes().split(b'\0')[0].decode(errors='replace')
