# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Testing with several scales and a CRF: the network alone, one after the other, overlapped.

    python tools/benchmarks/evaluation.py CONFIG [--images 12] [--cfg-options KEY=VALUE ...]

Weights are random: neither the network nor the CRF takes another time for them. One thread a step,
so that two cores can take a step each; what overlaps is bound by the slower one.
"""

import argparse
import tempfile

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.runner import Runner
from options import whole
from side_by_side import device_line, seconds, table

from mmseg_lrr.apis.testing import configure_test, default_crf


def build_runner(cfg: Config, max_pending: int, work_dir: str) -> Runner:
    """A runner that tests a config with so many batches whose evaluation may be waiting."""
    cfg.work_dir, cfg.experiment_name = work_dir, work_dir.replace('/', '_')
    cfg.log_level = 'ERROR'
    cfg.test_cfg = dict(type='LRRTestLoop', max_pending=max_pending)
    return Runner.from_cfg(cfg)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--threads', type=whole(), default=1, help='default: %(default)s')
    parser.add_argument('--runs', type=whole(), default=3,
                        help='rounds whose median is taken (default: %(default)s)')
    parser.add_argument('--images', type=whole(), default=12,
                        help='how many (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    # What is timed is the work, not the starting of processes that load images.
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.indices = args.images
    network_alone = configure_test(cfg, tta=True)
    with_crf = configure_test(cfg, tta=True, crf=default_crf(cfg))
    with tempfile.TemporaryDirectory() as folder:
        runners = {
            'network alone': build_runner(network_alone, 0, f'{folder}/network'),
            'one after the other': build_runner(with_crf, 0, f'{folder}/in_turn'),
            'overlapped': build_runner(with_crf.copy(), 2, f'{folder}/overlapped'),
        }
        count = len(runners['overlapped'].test_dataloader.dataset)
        taken = seconds(
            {name: runner.test for name, runner in runners.items()}, args.runs, get_device())
    network, both, overlapped = (taken[name] / count for name in runners)
    slower = max(network, both - network)
    print(f'{device_line(get_device())} a step; {count} images, median of {args.runs}\n')
    print(table(
        'Multi-scale testing with a CRF, seconds an image',
        ('network', 'CRF', 'one after the other', 'overlapped', 'overlapped / the slower step',
         'one after the other / overlapped'),
        [(network, both - network, both, overlapped, overlapped / slower, both / overlapped)]))


if __name__ == '__main__':
    main()
