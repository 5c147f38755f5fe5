# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""How much a MATLAB file may hold: several times what a network does."""

from __future__ import annotations

from .mat_values import MatFileError

#: How deep values may be nested. A network nests a handful of levels; a reference that leads back
#: to itself has no end.
MAX_DEPTH = 32
#: Bytes of all arrays and texts together.
MAX_BYTES = 4 * 2**30
#: Texts, and what all cells and structs hold, together.
MAX_VALUES = 2**17
#: Characters of one text.
MAX_TEXT = 2**20
# What unpacks to more bytes than this, and to this many times its packed length, is no network;
# weights hardly pack at all. Small label maps pack well.
_SMALL, _MAX_RATIO = 64 * 2**20, 20


class Allowance:
    """What may still be made of one file. Sizes cost a file nothing, so they are asked first."""

    def __init__(self) -> None:
        self._bytes, self._values = MAX_BYTES, MAX_VALUES

    def take(self, what: str, size: int = 0, values: int = 0) -> None:
        """Counts what is about to be made.

        Args:
            what (str): What it is, for the error.
            size (int): Its bytes.
            values (int): How many values it is.

        Raises:
            MatFileError: If that is more than a file may hold.
        """
        self._bytes -= size
        if self._bytes < 0:
            raise MatFileError(f'{what} brings what is read to more than {MAX_BYTES} bytes')
        self._values -= values
        if self._values < 0:
            raise MatFileError(f'{what} brings what is read to more than {MAX_VALUES} values')

    def take_text(self, what: str, length: int, rows: int) -> None:
        """Counts a character array.

        Args:
            what (str): What it is, for the error.
            length (int): Its characters.
            rows (int): How many texts it is.

        Raises:
            MatFileError: If that is more than a file may hold, or than a text may.
        """
        if length > MAX_TEXT:
            raise MatFileError(f'{what} has more than {MAX_TEXT} characters')
        self.take(what, 2 * length, rows)


def most_unpacked(packed: int) -> int:
    """How many bytes so many packed ones may unpack to."""
    return max(_SMALL, _MAX_RATIO * packed)
