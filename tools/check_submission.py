# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Say what is wrong with the result files for a test server before they are uploaded.

Exits with 0 if all is well, 1 if there are problems, and 2 if the check could not be made.
"""

import argparse
import sys

from mmseg_lrr.evaluation.submission_check import (
    check_cityscapes_submission,
    check_voc_submission,
    read_ids,
)

CHECKS = {'voc': check_voc_submission, 'cityscapes': check_cityscapes_submission}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('server', choices=CHECKS, help='the test server')
    parser.add_argument('source', help='folder that --out named, or the archive made in it')
    parser.add_argument('--ids', required=True, help="list of the test set's image ids, one a line")
    parser.add_argument('--images', help='folder of the test images, to compare sizes')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        ids = read_ids(args.ids)
        problems = CHECKS[args.server](args.source, ids, args.images)
    except (OSError, ValueError) as error:
        print(f'check_submission: {error}', file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(f'problems: {len(problems)}' if problems else f'all well: {len(ids)} images')
    return int(bool(problems))


if __name__ == '__main__':
    sys.exit(main())
