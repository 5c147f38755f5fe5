# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Arrays in pickles of somebody else.

A pickle spells an array as calls of NumPy's own functions with arguments of its choice, and some
arguments give an array that reads any place of the memory. What stands here takes the place of
those functions, and takes only what NumPy itself writes.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

#: Codes of numbers, booleans and text, as a pickle of NumPy spells them. Text of no length is left
#: out: an array of it has any number of elements in no bytes.
_CODE = re.compile(r'b1|[iufc]\d{1,2}|[SU][1-9]\d*', re.ASCII)


def _refuse(what: str) -> NoReturn:
    # What was got is not shown: it can be made to fill the memory when it is spelled out.
    raise pickle.UnpicklingError(
        f'refused: {what} is none that NumPy writes for numbers, booleans or text')


class PickledDtype:
    """Stands in for ``numpy.dtype``.

    Args:
        code: The code of a dtype of numbers, booleans or text.
        align: What NumPy writes there: False.
        copy: What NumPy writes there: True.

    Raises:
        pickle.UnpicklingError: The arguments are others.
    """

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            _refuse('a dtype')
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Set the order of bytes; all else that NumPy writes follows from the code.

        Raises:
            pickle.UnpicklingError: It does not: the dtype has fields, flags or another size.
        """
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '>', '|'):
            _refuse('the state of a dtype')
        self.value = self.value.newbyteorder(state[1])
        if state != self.value.__reduce__()[2]:
            _refuse('the state of a dtype')


class PickledArray(np.ndarray):
    """Stands in for ``numpy.ndarray``: cannot be called, and checks the state that it is given."""

    def __new__(cls, *args: Any) -> NoReturn:
        _refuse('a call of ndarray')

    def __setstate__(self, state: Any) -> None:
        """Take over dtype, shape and data, once.

        Raises:
            pickle.UnpicklingError: They do not fit each other, or are not what NumPy writes.
        """
        match state:
            case (1, tuple(shape), PickledDtype(value=dtype), bool(is_fortran), bytes(data)):
                whole = all(type(size) is int and size >= 0 for size in shape)
            case _:
                whole = False
        # A second state would free what a tensor may share by then.
        if self.size or not whole or math.prod(shape) * dtype.itemsize != len(data):
            _refuse('the state of an array')
        super().__setstate__((1, shape, dtype, is_fortran, data))

    def __reduce__(self) -> tuple:
        return np.array(self).__reduce__()


def reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    """Stand in for NumPy's ``_reconstruct``: make an empty array, which a state is to fill.

    Raises:
        pickle.UnpicklingError: The arguments are not those that NumPy writes.
    """
    if kind is not PickledArray or (shape, code) != ((0, ), b'b'):
        _refuse('a new array')
    return np.ndarray.__new__(PickledArray, (0, ), np.int8)


def scalar(dtype: Any, data: Any) -> np.generic:
    """Stand in for NumPy's ``scalar``.

    Raises:
        pickle.UnpicklingError: The data are not those of one number, boolean or text.
    """
    match dtype, data:
        case PickledDtype(value=kind), bytes() if len(data) == kind.itemsize:
            return np.frombuffer(data, kind)[0]
    _refuse('a scalar')


def ordinary(content: Any, opened: type) -> Any:
    """Put NumPy's own arrays and dtypes in the places of what stands for them.

    Args:
        content: What was unpickled; its dicts and lists are changed in place.
        opened: A class of which the attributes are looked through too.

    Returns:
        The content.
    """
    # The content goes along: an id may be given again once its object is gone.
    seen: dict[int, tuple[Any, Any]] = {}

    def plain(value: Any) -> Any:
        if id(value) not in seen:
            seen[id(value)] = value, value
            seen[id(value)] = value, _plain_one(value, opened, plain)
        return seen[id(value)][1]

    return plain(content)


def _plain_one(value: Any, opened: type, plain: Callable[[Any], Any]) -> Any:
    if isinstance(value, PickledArray):
        return np.array(value)
    if isinstance(value, PickledDtype):
        return value.value
    if type(value) is tuple:
        return tuple(map(plain, value))
    if isinstance(value, list):
        value[:] = map(plain, value)
    elif isinstance(value, dict):
        for key in value:
            value[key] = plain(value[key])
    elif isinstance(value, opened):
        plain(vars(value))
    return value
