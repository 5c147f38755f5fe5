# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What MATLAB files hold, as plain data."""


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
