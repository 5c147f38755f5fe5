# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One plain check a kind of value: each returns the value or says what is wrong with it.

Every error names the option, the value that was got and what is accepted, and is raised where the
value enters, that is in the constructors, so a bad config fails when it is built.
"""

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any


def integer(name: str, value: Any, minimum: int | None = None) -> int:
    """Return ``value`` as an int; raise unless it is one and >= ``minimum``."""
    accepted = 'an integer' + ('' if minimum is None else f' >= {minimum}')
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f'{name} must be {accepted}, got {value!r}')
    if minimum is not None and value < minimum:
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    return int(value)


def number(name: str, value: Any, minimum: float, inclusive: bool = True) -> float:
    """Return ``value`` as a float; raise unless it is finite and above ``minimum``."""
    accepted = f'a finite number {">=" if inclusive else ">"} {minimum:g}'
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name} must be {accepted}, got {value!r}')
    above = value >= minimum if inclusive else value > minimum
    if not above or value == float('inf'):
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    return float(value)


def boolean(name: str, value: Any) -> bool:
    """Return ``value``; raise TypeError unless it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f'{name} must be True or False, got {value!r}')
    return value


def one_of(name: str, value: Any, accepted: Collection) -> Any:
    """Return ``value``; raise ValueError unless it is among ``accepted``."""
    if value not in accepted:
        names = ', '.join(repr(item) for item in accepted)
        raise ValueError(f'{name} must be one of {names}, got {value!r}')
    return value


def integers(name: str, value: Any, minimum: int | None = None) -> tuple[int, ...]:
    """Return ``value`` as a tuple of ints; raise unless it is a non-empty list or tuple of them."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise TypeError(f'{name} must be a non-empty list of integers, got {value!r}')
    return tuple(integer(f'{name}[{i}]', item, minimum) for i, item in enumerate(value))


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
