# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the converters' command lines have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

from mmseg_lrr.datasets.preparation import Report, default_workers

#: What ``--partial`` does where numbers are published.
PART_OF_DATA_SET = (
    'the folders hold a part of the data set: do not compare numbers of images with the published '
    'ones'
)


def make_parser(description: str, partial: str) -> argparse.ArgumentParser:
    """Make a parser with the options that every converter has.

    Args:
        description: What the converter does.
        partial: What ``--partial`` does.
    """
    parser = argparse.ArgumentParser(
        description=f'{description} Label maps that are there and right are kept, so it can be '
        'run again after an interruption, or to verify. Exits with 0 if all is well, 1 if '
        'something is missing or broken (each is printed on a line, and no list is written), and '
        '2 if the conversion could not be made; an interrupted one exits with 130.'
    )
    parser.add_argument(
        '--workers', type=int, default=default_workers(), help='processes (default: %(default)s)'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='read and check everything, write nothing'
    )
    parser.add_argument('--partial', action='store_true', help=partial)
    return parser


def run_converter(
    parser: argparse.ArgumentParser,
    prepare: Callable[[argparse.Namespace], Report],
    argv: list[str] | None = None,
) -> int:
    """Parse, convert, print the report.

    Args:
        parser: From :func:`make_parser`.
        prepare: Does the work.
        argv: Arguments; those of this process if None.

    Returns:
        The exit status.
    """
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    try:
        report = prepare(args)
    except (OSError, ValueError, ImportError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    except BrokenExecutor:
        print(
            f'{parser.prog}: a worker died (out of memory?); run again with fewer --workers',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f'{parser.prog}: interrupted; run again to go on', file=sys.stderr)
        return 130
    for line in report.lines():
        print(line)
    return report.exit_status
