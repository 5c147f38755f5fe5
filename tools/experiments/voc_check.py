# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Rows of camvid.py on 240 photographs of PASCAL VOC: a check on other data, no more.

    python tools/experiments/voc_check.py --data-root ../shared/data/voc --iters 240

Trains on the 180 images of ``mini_train.txt`` and tests on the 60 of ``mini_val.txt``, which has 18
of the 21 classes; no figure can be compared with the paper's. Everything else, crops of 320x320
among it, is as in camvid.py at full size, which this goes on and shares the rows out like.
"""

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from camvid_rows import BATCH_SIZE, ROWS, Stage
from camvid_run import Experiment, run_row
from camvid_tables import main_table, read_rows, trimap_table
from mmengine.config import Config

CHECKED = ('lrr4x-unmasked', 'fcn8s', 'lrr4x-masked-de, at once')
_NUM_CLASSES = 21


@dataclass(frozen=True)
class VocExperiment(Experiment):
    """The experiment with VOC's images and classes."""

    size: str = 'full'

    def stage_config(self, stage: Stage, seed: int) -> Config:
        """Config of one of its stages."""
        cfg = super().stage_config(stage, seed)
        for loader, listing in ((cfg.train_dataloader, 'mini_train'),
                                (cfg.test_dataloader, 'mini_val')):
            loader.dataset.update(
                type='PascalVOCDataset', ann_file=f'ImageSets/Segmentation/{listing}.txt',
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'))
        for name in ('decode_head', 'auxiliary_head'):
            if name in cfg.model:
                cfg.model[name].num_classes = _NUM_CLASSES
        return cfg


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='rows: ' + '; '.join(ROWS))
    parser.add_argument('--data-root', type=Path, default=Path('../shared/data/voc'),
                        help='VOC with the two lists (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/voc_check'),
                        help='folder of all that is made (default: %(default)s)')
    parser.add_argument('--iters', type=int, default=240, metavar='N',
                        help='iterations of a row (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], metavar='SEED',
                        help='default: 0')
    parser.add_argument('--rows', nargs='+', choices=ROWS, metavar='ROW', default=list(CHECKED),
                        help=f'default: {"; ".join(CHECKED)}')
    parser.add_argument('--head-rate', type=float, metavar='FACTOR',
                        help="factor of the heads' rates instead of those in camvid_rows.py; with "
                        'a --work-dir of its own')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', category=UserWarning, module=r'mmseg|mmengine|torch')
    experiment = VocExperiment(args.data_root, args.work_dir, args.iters, args.head_rate)
    for seed in args.seeds:
        for row in args.rows:
            run_row(row, seed, experiment)
    rows = read_rows(experiment.row_file('', 0).parent)
    print(f'VOC, 180 images to train and 60 to test on, {args.iters} iterations of {BATCH_SIZE}\n\n'
          f'{main_table(rows)}\n{trimap_table(rows)}')


if __name__ == '__main__':
    main()
