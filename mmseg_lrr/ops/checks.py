# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Checks of options whose wrong values would otherwise pass, or fail somewhere misleading.

Each returns the value, or raises an error that names the option, what was got and what is accepted.
"""

from collections.abc import Collection
from typing import Any


def integer(name: str, value: Any, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return ``value``; raise unless it is an integer from ``minimum`` to ``maximum``."""
    accepted = 'an integer' + ('' if minimum is None else f' >= {minimum}')
    if maximum is not None:
        accepted = f'an integer from {minimum} to {maximum}'
    if not isinstance(value, int):
        raise TypeError(f'{name} must be {accepted}, got {value!r}')
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f'{name} must be {accepted}, got {value!r}')
    return value


def odd(name: str, value: Any, minimum: int) -> int:
    """Return ``value``; raise unless it is an odd integer of at least ``minimum``."""
    if integer(name, value, minimum) % 2 == 0:
        raise ValueError(f'{name} must be odd, got {value!r}')
    return value


def one_of(name: str, value: Any, accepted: Collection) -> Any:
    """Return ``value``; raise unless it is among ``accepted``."""
    if value not in accepted:
        names = ', '.join(repr(item) for item in accepted)
        raise ValueError(f'{name} must be one of {names}, got {value!r}')
    return value


def per_level(name: str, value: Any, num_levels: int) -> tuple:
    """Spread one value over the levels, or return a list that has one value per level."""
    if not isinstance(value, list | tuple):
        return (value, ) * num_levels
    if len(value) != num_levels:
        raise ValueError(f'{name} must be one value or a list of {num_levels}, one per level, '
                         f'got {len(value)}: {value!r}')
    return tuple(value)
