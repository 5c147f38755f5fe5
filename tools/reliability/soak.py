# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test many small images at three scales with the CRF and watch memory, files and processes.

    python tools/reliability/soak.py --images 1000

Prints memory (resident, MiB), open files and child processes over the run, and the slope of the
memory from the second quarter on. Fails if that is above ``--limit`` KiB an image, or files or
processes are left at the end that were not there when the test began.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_lrr.apis.testing import configure_test, crf_config

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))

from tiny_project import make_project  # noqa: E402


def resident() -> float:
    """Memory of this process in MiB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def open_files() -> int:
    """Open file descriptors of this process, but for the one that lists them."""
    return len(os.listdir('/proc/self/fd')) - 1


def children() -> int:
    """Child processes, finished ones that nobody has waited for among them."""
    return sum(len(path.read_text().split()) for path in Path('/proc/self/task').glob('*/children'))


class Watch(Hook):
    """Takes notes after every image."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.memory: list[float] = []

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Any = None) -> None:
        """Note the memory; print a row now and then."""
        self.memory.append(resident())
        if (batch_idx + 1) % self.every == 0:
            print(f'| {batch_idx + 1} | {self.memory[-1]:.0f} | {open_files()} | {children()} |',
                  flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--images', type=int, default=1000, help='images (default: 1000)')
    parser.add_argument('--workers', type=int, default=1,
                        help='processes that load images (default: 1)')
    parser.add_argument('--limit', type=float, default=64.,
                        help='slope that is tolerated, KiB an image (default: 64)')
    args = parser.parse_args()
    torch.set_num_threads(1)
    before_all = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_project(Path(temporary), images=args.images)
        os.chdir(folder)
        cfg = configure_test(Config.fromfile('config.py'), tta=True, crf=crf_config())
        cfg.work_dir = 'out'
        cfg.log_level = 'WARNING'
        cfg.launcher = 'none'
        cfg.load_from = None
        cfg.test_dataloader.num_workers = args.workers
        runner = Runner.from_cfg(cfg)
        watch = Watch(max(args.images // 10, 1))
        runner.register_hook(watch)
        files, processes = open_files(), children()
        print('| images | memory (MiB) | open files | processes |\n|---|---|---|---|')
        runner.test()
        del runner
        gc.collect()
        print(f'| end | {resident():.0f} | {open_files()} | {children()} |')
        steady = np.asarray(watch.memory[args.images // 4:])
        slope = 1024 * np.polyfit(np.arange(len(steady)), steady, 1)[0]
        left = (open_files() - files, children() - processes)
        os.chdir(before_all)
    print(f'slope {slope:.2f} KiB an image; {left[0]} files and {left[1]} processes more than '
          'before')
    raise SystemExit(int(slope > args.limit or max(left) > 0))


if __name__ == '__main__':
    main()
