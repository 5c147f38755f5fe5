# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Train and test LRR on shapes that this script draws: minutes on a CPU, nothing to download."""

import argparse
import json
import time
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo',
                        help='folder for everything that is written (default: %(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

# Before mmseg: it prepares the stack and registers the package.
import mmseg_lrr

# isort: split
from demo_shapes import make_shapes_dataset
from mmengine.runner import Runner

from mmseg_lrr.apis.testing import default_crf
from mmseg_lrr.apis.toolbox import ignore_notes
from mmseg_lrr.reporting.examples import MULTI_SCALE, MULTI_SCALE_CRF, ExampleMaker
from mmseg_lrr.reporting.report import make_report
from mmseg_lrr.visualization.panels import draw_levels, draw_masks, save_png


def run_demo(work_dir: str | Path, *, num_train: int = 800, num_val: int = 40,
             max_iters: int | None = None) -> dict:
    """Draw shapes, train LRR-4x on them, test every level, multi-scale and CRF, make a page.

    Args:
        work_dir: Folder for the data set, the config, the checkpoint, ``results.json``, the
            pictures ``levels.png`` and ``masks.png``, and ``report/report.html``.
        num_train: Number of training images.
        num_val: Number of validation images.
        max_iters: Number of training iterations; that of the config if None.

    Returns:
        What ``results.json`` holds: ``levels`` (mIoU in percent by level), ``ms``, ``ms_crf``,
        ``trimap`` (mIoU in percent by level and width of the band), and ``seconds``.
    """
    start = time.perf_counter()
    work_dir = Path(work_dir)
    shapes = make_shapes_dataset(work_dir / 'shapes', num_train=num_train, num_val=num_val)
    cfg = mmseg_lrr.get_config('lrr4x_r18_shapes_demo')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(shapes)
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    # The runner then names it after this run; an earlier run of the process keeps its own log.
    del cfg.visualizer.name
    cfg.custom_hooks.append(dict(type='ProgressBarHook'))
    if max_iters is not None:
        cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = max_iters
        cfg.default_hooks.checkpoint.interval = max_iters

    runner = Runner.from_cfg(cfg)
    runner.train()
    levels = list(runner.model.decode_head.levels)
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    # The runner keeps its config in the work directory; other tools can take it from there.
    config = work_dir / Path(cfg.filename).name
    (rows, ) = make_report([(str(config), checkpoint)], work_dir / 'report', widths=(1, 3, 5, 10),
                           images=4).values()

    maker = ExampleMaker(cfg, checkpoint, crf=default_crf(cfg), masks=[])
    examples = [maker.make(info) for info in maker.test_set(4)]
    save_png(work_dir / 'levels.png', draw_levels(examples, maker.classes, maker.palette))
    save_png(work_dir / 'masks.png', draw_masks(examples, maker.classes, maker.palette))

    results = {
        'levels': {level: rows[level].miou for level in levels},
        'ms': rows[MULTI_SCALE].miou,
        'ms_crf': rows[MULTI_SCALE_CRF].miou,
        'trimap': {level: rows[level].trimap for level in levels},
        'seconds': round(time.perf_counter() - start, 1),
    }
    (work_dir / 'results.json').write_text(json.dumps(results, indent=2) + '\n')
    return results


def main() -> None:
    args = parse_args()
    ignore_notes()
    results = run_demo(args.work_dir)
    levels = '  '.join(f'{level} {miou:.1f}' for level, miou in results['levels'].items())
    print(f'mIoU in percent: {levels}  ms {results["ms"]:.1f}  ms-crf {results["ms_crf"]:.1f} '
          f'({results["seconds"]:.0f} s)')
    print(f'Look at {args.work_dir}/report/report.html (a page that needs no other file), '
          f'{args.work_dir}/levels.png and {args.work_dir}/masks.png')


if __name__ == '__main__':
    main()
