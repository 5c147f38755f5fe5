# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One plain check a kind of value: each returns the value or says what is wrong with it.

Every error names the option, the value that was got and what is accepted, and is raised where the
value enters, that is in the constructors, so a bad config fails when it is built.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np


def integer(name: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return ``value`` as an int; raise unless it is one, from ``minimum`` to ``maximum``."""
    accepted = 'an integer' + ('' if minimum is None else f' >= {minimum}')
    accepted += '' if maximum is None else f' and <= {maximum}'
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f'{name} must be {accepted}, got {value!r}')
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    return int(value)


def odd(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` as an int; raise unless it is odd, from ``minimum`` to ``maximum``."""
    if integer(name, value, minimum, maximum) % 2 == 0:
        raise ValueError(f'{name} must be an odd integer >= {minimum}, got {value!r}')
    return int(value)


def number(name: str, value: Any, minimum: float | None = None, inclusive: bool = True,
           maximum: float | None = None) -> float:
    """Return ``value`` as a float; raise unless it is finite and within the limits.

    Networks compute in single precision, so it has to be so there too. ``inclusive`` concerns
    ``minimum``.
    """
    accepted = 'a finite number'
    accepted += '' if minimum is None else f' {">=" if inclusive else ">"} {minimum:g}'
    accepted += '' if maximum is None else f' and <= {maximum:g}'
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name} must be {accepted}, got {value!r}')
    try:
        as_float = float(value)
    except OverflowError:  # an integer of more than 308 digits
        as_float = math.inf
    with np.errstate(over='ignore'):
        single = float(np.float32(as_float))
    if minimum is not None and (value < minimum or (single == minimum and not inclusive)):
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    if not math.isfinite(single) or (maximum is not None and value > maximum):
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    return as_float


def boolean(name: str, value: Any) -> bool:
    """Return ``value``; raise TypeError unless it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f'{name} must be True or False, got {value!r}')
    return value


def one_of(name: str, value: Any, accepted: Collection) -> Any:
    """Return ``value``; raise ValueError unless it is among ``accepted``."""
    # A list compares by ==; a dict's or a set's own test fails on values without a hash.
    if value not in list(accepted):
        names = ', '.join(repr(item) for item in accepted)
        raise ValueError(f'{name} must be one of {names}, got {value!r}')
    return value


def integers(name: str, value: Any, minimum: int | None = None) -> tuple[int, ...]:
    """Return ``value`` as a tuple of ints; raise unless it is a non-empty list or tuple of them."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise TypeError(f'{name} must be a non-empty list of integers, got {value!r}')
    return tuple(integer(f'{name}[{i}]', item, minimum) for i, item in enumerate(value))


def numbers(name: str, value: Any, lengths: Collection[int], minimum: float | None = None,
            inclusive: bool = True) -> tuple[float, ...]:
    """Return ``value`` as a tuple of floats; raise unless it is a list of one of ``lengths``."""
    if (not isinstance(value, Sequence) or isinstance(value, str | bytes)
            or len(value) not in lengths):
        count = ' or '.join(map(str, lengths))
        raise ValueError(f'{name} must be a list of {count} numbers, got {value!r}')
    return tuple(
        number(f'{name}[{i}]', item, minimum, inclusive) for i, item in enumerate(value))


def text(name: str, value: Any) -> str:
    """Return ``value``; raise unless it is text and not empty."""
    if not isinstance(value, str):
        raise TypeError(f'{name} must be text, got {value!r}')
    if not value:
        raise ValueError(f'{name} must not be empty, got {value!r}')
    return value


def path(name: str, value: Any) -> str | PathLike:
    """Return ``value``; raise unless it names a file or folder (text or a path, not empty)."""
    if not isinstance(value, str | PathLike):
        raise TypeError(f'{name} must be a path, got {value!r}')
    if not str(value):
        raise ValueError(f'{name} must not be empty, got {value!r}')
    return value


def metric_options(collect_device: Any, prefix: Any) -> None:
    """Raise unless the options that all metrics share are ones that their base class knows."""
    one_of('collect_device', collect_device, ('cpu', 'gpu'))
    if prefix is not None:
        text('prefix', prefix)


def config(name: str, value: Any) -> Mapping:
    """Return ``value``; raise unless it is the config of a component: a dict with a ``type``."""
    if not isinstance(value, Mapping) or not value.get('type'):
        raise TypeError(f"{name} must be a config, a dict with a 'type', got {value!r}")
    return value


def configs(name: str, value: Any) -> None:
    """Raise unless ``value`` is a config or a non-empty list of configs."""
    if not isinstance(value, list | tuple):
        config(name, value)
    elif not value:
        raise ValueError(f'{name} must be a config or a list with at least one, got {value!r}')
    else:
        for i, item in enumerate(value):
            config(f'{name}[{i}]', item)


def per_level(name: str, value: Any, num_levels: int) -> tuple:
    """Spread one value over the levels, or return a list that has one value a level.

    Raises:
        ValueError: if a list has another length than ``num_levels``.
    """
    if not isinstance(value, list | tuple):
        return (value, ) * num_levels
    if len(value) != num_levels:
        raise ValueError(f'{name} must be one value or a list of {num_levels}, one a level, '
                         f'got {len(value)}: {value!r}')
    return tuple(value)
