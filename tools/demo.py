# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Train and test LRR on shapes that this script draws: minutes on a CPU, nothing to download."""

import argparse
import warnings

from demo_shapes import make_shapes_dataset

from mmseg_lrr.apis.demo import run_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo',
                        help='folder for everything that is written (default: %(default)s)')
    args = parser.parse_args()
    # The toolbox's notes to its developers; a reader of the demo can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    shapes = make_shapes_dataset(f'{args.work_dir}/shapes', num_train=480, num_val=40)
    results = run_demo(args.work_dir, shapes)
    levels = '  '.join(f'{level} {miou:.1f}' for level, miou in results['levels'].items())
    print(f'mIoU in percent: {levels}  ms {results["ms"]:.1f}  ms+crf {results["ms_crf"]:.1f} '
          f'({results["seconds"]:.0f} s)')
    print(f'Look at {args.work_dir}/report/report.html (a page that needs no other file), '
          f'{args.work_dir}/levels.png and {args.work_dir}/masks.png')


if __name__ == '__main__':
    main()
