# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Arrays in files of somebody else."""

import os

import numpy as np


def load_npy(name: str, path: str | os.PathLike) -> np.ndarray:
    """Read an array from a ``.npy`` file; nothing in it is executed.

    Args:
        name: The option that names the file, for messages.
        path: The file.

    Raises:
        OSError: If the file is not there or cannot be opened.
        ValueError: If it is no such file, damaged, of a shape that no memory can hold, or holds
            anything but real numbers.
    """
    with open(path, 'rb') as file:
        try:
            # Unlike np.load, which looks for archives and pickles as well.
            array = np.lib.format.read_array(file, allow_pickle=False)
        except OSError:
            raise
        # A header is read as Python's source is: there is little that damaged ones do not raise.
        except Exception as error:
            raise ValueError(f'{name} {path} must be an array in a .npy file: {error}') from error
    if array.dtype.kind not in 'biuf':
        raise ValueError(f'{name} {path} must be an array of real numbers, got {array.dtype}')
    return array
