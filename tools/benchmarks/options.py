# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Options that the benchmarks share, refused where they are given and not after minutes of work."""

import argparse
from collections.abc import Callable

import torch

#: Sides of square images, and numbers of classes, that show how a cost grows.
GROWTH = ((256, 21), (512, 19), (512, 21), (512, 150), (1024, 21))


def whole(minimum: int = 1, multiple: int = 1) -> Callable[[str], int]:
    """Type of an option: a whole number from ``minimum`` on, divisible by ``multiple``."""
    def integer(text: str) -> int:
        value = int(text)
        if value < minimum or value % multiple:
            divisible = f' and a multiple of {multiple}' if multiple > 1 else ''
            raise argparse.ArgumentTypeError(f'must be at least {minimum}{divisible}, got {value}')
        return value

    return integer


def case(text: str) -> tuple[int, int]:
    """Type of an option: side of an image and number of classes, as 512x21."""
    try:
        side, classes = text.split('x')
        return whole(8, 8)(side), whole(2)(classes)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise argparse.ArgumentTypeError(
            'must be SIDExCLASSES, the side a multiple of 8 and at least 2 classes, '
            f'got {text!r}') from error


def existing_device(text: str) -> str:
    """Type of an option: a device that is there."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(
            f'must be a device of this machine, got {text!r}: {error}') from error
    return text


def add_arguments(parser: argparse.ArgumentParser, runs: int = 5) -> None:
    """Options of every benchmark that times: ``--threads``, ``--runs``, ``--device``."""
    parser.add_argument('--threads', type=whole(), default=2, help='default: %(default)s')
    parser.add_argument('--runs', type=whole(), default=runs,
                        help='rounds whose median is taken (default: %(default)s)')
    parser.add_argument('--device', type=existing_device, default='cpu',
                        help='default: %(default)s')


def add_image(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmarks of whole heads: ``--size`` and ``--classes``."""
    parser.add_argument('--size', type=whole(64, 64), default=512,
                        help='side of the image, a multiple of 64 (default: %(default)s)')
    parser.add_argument('--classes', type=whole(2), default=21, help='default: %(default)s')


def add_cases(parser: argparse.ArgumentParser) -> None:
    """The option ``--cases``; :data:`GROWTH` by default."""
    parser.add_argument('--cases', nargs='+', type=case, default=GROWTH, metavar='SIDExCLASSES',
                        help='images and classes, as 512x21 (default: '
                        f'{" ".join(f"{side}x{classes}" for side, classes in GROWTH)})')
