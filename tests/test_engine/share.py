# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One process's share of a test: ``share.py FOLDER IMAGES RANK``.

Writes ``FOLDER/rank<RANK>.json`` with the metrics.
"""

import json
import os
import sys
from pathlib import Path

import torch
from small_segmentors import build, lrr_config
from small_test import CRF, make_runner

import mmseg_lrr  # noqa: F401  (makes the stack ready before the toolbox is imported)


def main(folder: str, images: str, rank: str) -> None:
    # mmengine gathers results through a folder in the working directory.
    os.chdir(folder)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=int(rank), world_size=2)
    runner, _ = make_runner(
        build(lrr_config(test_cfg=dict(crf=CRF))), Path(images), Path(folder) / 'work',
        loop=dict(collect_failures=True))
    Path(f'rank{rank}.json').write_text(json.dumps(runner.test()))
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
