# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""IoU by class of the CamVid experiment's trained rows: mean over the seeds, and a mean of classes.

    python tools/experiments/camvid_classes.py --iters 240 --seeds 0 1 2 --without pole signsymbol

Tests the final output at one scale. A row that is not trained yet is an error.
"""

import argparse
import statistics
import warnings

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from camvid_rows import ROWS
from camvid_run import (
    Experiment,
    add_arguments,
    experiment_from,
    final_checkpoint,
    test_config,
)
from camvid_tables import figure, markdown
from class_iou_metric import ClassIoUMetric
from half_size import SPLITS

from mmseg_lrr.apis.testing import configure_test, run_test
from mmseg_lrr.datasets import CamVidDataset

CLASSES = CamVidDataset.METAINFO['classes']


def class_ious(row: str, seed: int, experiment: Experiment, split: str = 'val'
               ) -> dict[str, float]:
    """IoU in percent by class of a row that is trained, on one of :data:`half_size.SPLITS`."""
    cfg = configure_test(test_config(ROWS[row], experiment, seed))
    cfg.test_dataloader.dataset.ann_file = f'ImageSets/Segmentation/{split}.txt'
    cfg.test_evaluator.type = ClassIoUMetric.__name__
    metrics = run_test(cfg, final_checkpoint(ROWS[row], experiment, seed)).metrics
    return {name: metrics[f'IoU_{name}'] for name in CLASSES}


def class_table(runs: dict[str, list[dict[str, float]]], without: list[str]) -> str:
    """One line a row, a column a class, then the means of the classes that are not left out."""
    kept = [name for name in CLASSES if name not in without]
    lines = [['row', *CLASSES, 'all', *([f'without {", ".join(without)}'] if without else [])]]
    for row, seeds in runs.items():
        means = [CLASSES, kept] if without else [CLASSES]
        lines.append([
            row,
            *(figure(seeds, lambda run, name=name: run[name]) for name in CLASSES),
            *(figure(seeds, lambda run, names=names: statistics.mean(run[name] for name in names))
              for names in means),
        ])
    return markdown(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='rows: ' + '; '.join(ROWS))
    add_arguments(parser)
    parser.add_argument('--rows', nargs='+', choices=ROWS, metavar='ROW', default=[
        'fcn8s', 'lrr4x-unmasked', 'lrr4x-masked, at once', 'lrr4x-masked-de, at once'])
    parser.add_argument('--split', choices=SPLITS, default='val',
                        help='frames to test on: those of training show how much of a difference '
                        'is overfitting (default: %(default)s)')
    parser.add_argument('--without', nargs='+', default=[], choices=CLASSES, metavar='CLASS',
                        help='classes to leave out of the second mean')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    experiment = experiment_from(args)
    runs = {row: [class_ious(row, seed, experiment, args.split) for seed in args.seeds]
            for row in args.rows}
    print(class_table(runs, args.without))


if __name__ == '__main__':
    main()
