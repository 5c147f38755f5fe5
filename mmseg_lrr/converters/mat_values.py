# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What MATLAB files hold, as plain data."""

from typing import Any

import numpy as np


class MatFileError(ValueError):
    """A MATLAB file that cannot be read, or does not hold what is looked for."""


class StructArray(list):
    """A MATLAB struct array: a list of dictionaries, in MATLAB's (column-major) order.

    A single struct is an array of one.
    """


class Unread:
    """Stands for a value that is not data (a function handle, an object), which is not read.

    Args:
        kind (str): What it is, as the file calls it.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f'<MATLAB {self.kind}, not read>'


def fields(value: Any, what: str) -> dict:
    """The fields of a single struct.

    Args:
        value (Any): A value of :func:`~.mat_file.read_mat`.
        what (str): Its name, for the error.

    Raises:
        MatFileError: If it is anything else.
    """
    if not isinstance(value, StructArray) or len(value) != 1:
        hint = ''
        if isinstance(value, Unread):
            hint = '; in MATLAB, save what net.saveobj() returns'
        raise MatFileError(f'{what} must be a struct, got {describe(value)}{hint}')
    return value[0]


def fields_or_none(value: Any) -> dict:
    """The fields of a single struct; none for anything else."""
    return value[0] if isinstance(value, StructArray) and len(value) == 1 else {}


def is_real(value: Any) -> bool:
    """Whether a value is an array of MATLAB's class single or double."""
    return isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64)


def describe(value: Any) -> str:
    """A value's class and size, as MATLAB would say it."""
    if isinstance(value, np.ndarray):
        name = {'float32': 'single', 'float64': 'double'}.get(value.dtype.name, value.dtype.name)
        return f'{name} {value.shape}'
    if isinstance(value, StructArray):
        return f'a struct array of {len(value)}'
    if isinstance(value, list):
        return f'a cell array of {len(value)}'
    if isinstance(value, str):
        return f'the text {value[:40]!r}'
    return 'nothing' if value is None else repr(value)
