# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One process's share of two tests: ``share.py FOLDER IMAGES RANK``.

The first test is of all images; the second goes on without those whose labels are missing in
``IMAGES/some``. Writes the metrics of both to ``FOLDER/rank<RANK>.json``.
"""

import json
import os
import sys
from pathlib import Path

import torch
from small_segmentors import build, lrr_config
from small_test import CRF, make_runner

import mmseg_lrr  # noqa: F401  (makes the stack ready before the toolbox is imported)


def run_both(folder: Path, images: Path) -> list[dict]:
    """Test twice; give the metrics."""
    model = build(lrr_config(test_cfg=dict(crf=CRF, level_outputs=True)))
    evaluator = [
        dict(type='LRRIoUMetric', trimap=dict(widths=(1, 4), csv_path=str(folder / 'bands.csv'))),
        dict(type='TrimapIoUMetric', widths=(2, ), prefix='apart'),
        dict(type='VOCSubmission', output_dir=str(folder / 'out'), archive='tar')]
    first, _ = make_runner(model, images / 'all', folder / 'first', evaluator=evaluator)
    second, _ = make_runner(
        model, images / 'some', folder / 'second', loop=dict(collect_failures=True))
    return [first.test(), second.test()]


def main(folder: str, images: str, rank: str) -> None:
    # mmengine gathers results through a folder in the working directory.
    os.chdir(folder)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=int(rank), world_size=2)
    metrics = run_both(Path(folder), Path(images))
    Path(f'rank{rank}.json').write_text(json.dumps(metrics))
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
