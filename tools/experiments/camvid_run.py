# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Train and test the rows of the CamVid experiment, each where it was left off."""

from __future__ import annotations

import argparse
import fcntl
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from camvid_rows import FRAME_SIZES, ROWS, TRIMAP_WIDTHS, Stage, stage_config
from half_size import halve_camvid
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.apis import init_model
from mmseg.registry import DATASETS

from mmseg_lrr.apis.testing import configure_test, run_test
from mmseg_lrr.replacing import replacing
from mmseg_lrr.reporting.tune_crf import tune_crf

#: Images of the training set on which the CRF's settings are chosen.
NUM_CRF_IMAGES = 12
CRF_GRID = {
    'pos_weight': (0, 1),
    'bilateral_weight': (0.5, 1),
    'bilateral_std_xy': (10, 20),
    'bilateral_std_rgb': (3, 5),
}
_NUM_TIMED_IMAGES = 25


class TrainClockHook(Hook):
    """Count the CPU seconds of training; checkpoints carry the count through interruptions."""

    NAME = 'train_cpu_seconds'

    def before_train(self, runner: Runner) -> None:
        """Start the clock where the checkpoint left it."""
        self._start = time.process_time() - runner.message_hub.get_info(self.NAME, 0.0)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Tell the message hub, which checkpoints carry, what the clock shows."""
        runner.message_hub.update_info(self.NAME, time.process_time() - self._start)


@dataclass(frozen=True)
class Experiment:
    """Where and how long.

    Attributes:
        source: CamVid in the layout of VOC.
        work_dir: Folder of all that is made.
        iterations: Of every row, both stages together.
        head_rate: Factor of the heads' rates; None: by :data:`camvid_rows.HEAD_RATES`.
        size: One of :data:`camvid_rows.FRAME_SIZES`.
    """

    source: Path
    work_dir: Path
    iterations: int
    head_rate: float | None = None
    size: str = 'half'

    @property
    def data_root(self) -> Path:
        """CamVid at this experiment's size."""
        return self.work_dir / 'half_size' if self.size == 'half' else self.source

    def prepare_data(self) -> None:
        """Make the half-size copy if this experiment needs it and has none yet."""
        if self.size == 'half':
            halve_camvid(self.source, self.data_root)

    def stage_config(self, stage: Stage, seed: int) -> Config:
        """Config of one of its stages."""
        return stage_config(
            stage, self.data_root, self.iterations, seed, self.head_rate, self.size)

    def row_file(self, row: str, seed: int) -> Path:
        """Where a row's figures are written."""
        name = row.replace(', ', '_').replace(' ', '-')
        return self.work_dir / f'rows_{self.iterations}' / f'{name}_{seed}.json'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every command of the experiment has."""
    parser.add_argument('--data-root', type=Path, default=Path('../shared/data/camvid'),
                        help='CamVid in the layout of VOC (default: %(default)s)')
    parser.add_argument('--size', choices=FRAME_SIZES, default='half',
                        help='of the frames (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path,
                        help='folder of all that is made (default: work_dirs/camvid_SIZE)')
    parser.add_argument('--iters', type=int, default=240, metavar='N',
                        help='iterations of a row, both stages together (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], metavar='SEED',
                        help='default: 0')


def experiment_from(args: argparse.Namespace, head_rate: float | None = None) -> Experiment:
    """The experiment that the options of :func:`add_arguments` describe."""
    work_dir = args.work_dir or Path(f'work_dirs/camvid_{args.size}')
    return Experiment(args.data_root, work_dir, args.iters, head_rate, args.size)


@contextmanager
def only_one(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file; other processes of this experiment wait or go on with something else.

    Args:
        path: The lock file.
        wait: Whether to wait for whoever holds it.

    Yields:
        Whether the lock is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            try:
                yield True
            finally:
                # Closing is not enough: workers forked meanwhile have the file open too.
                fcntl.flock(file, fcntl.LOCK_UN)


def train_stage(stage: Stage, experiment: Experiment, seed: int) -> tuple[str, float]:
    """Train a stage, and the one before it, unless that is done.

    Returns:
        The checkpoint, and the CPU seconds of training, those of the stage before included.
    """
    before, seconds_before = None, 0.0
    if stage.after is not None:
        before, seconds_before = train_stage(stage.after, experiment, seed)
    cfg = experiment.stage_config(stage, seed)
    folder = experiment.work_dir / 'stages' / cfg.experiment_name
    record = folder / 'trained.json'
    with only_one(folder / 'lock', wait=True):
        if not record.exists():
            seconds = _train(cfg, folder, before, _bases_file(experiment))
            with replacing(record) as temporary:
                temporary.write_text(json.dumps({'cpu_seconds': seconds}) + '\n')
    return (_checkpoint(folder, cfg),
            seconds_before + json.loads(record.read_text())['cpu_seconds'])


def _checkpoint(folder: Path, cfg: Config) -> str:
    return str(folder / f'iter_{cfg.train_cfg.max_iters}.pth')


def final_checkpoint(stage: Stage, experiment: Experiment, seed: int) -> str:
    """The checkpoint of a stage that is trained.

    Raises:
        FileNotFoundError: It is not.
    """
    cfg = experiment.stage_config(stage, seed)
    folder = experiment.work_dir / 'stages' / cfg.experiment_name
    if not (folder / 'trained.json').exists():
        raise FileNotFoundError(f'{folder} holds no finished training; camvid.py makes it')
    return _checkpoint(folder, cfg)


def _train(cfg: Config, folder: Path, before: str | None, bases: Path) -> float:
    cfg.work_dir = str(folder)
    cfg.resume = (folder / 'last_checkpoint').exists()
    # The runner would resume from this one instead of its own.
    cfg.load_from = None if cfg.resume else before
    cfg.log_level = 'WARNING'
    if cfg.custom_hooks and bases.exists():
        cfg.custom_hooks[0].bases_file = str(bases)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(TrainClockHook())
    runner.train()
    if cfg.custom_hooks and not bases.exists():
        with replacing(bases) as temporary:
            temporary.write_bytes((folder / 'class_bases.npy').read_bytes())
    return runner.message_hub.get_info(TrainClockHook.NAME)


def _bases_file(experiment: Experiment) -> Path:
    return experiment.work_dir / 'class_bases.npy'


def run_row(row: str, seed: int, experiment: Experiment) -> bool:
    """Train and test a row, unless its figures are there or another process is at it.

    Args:
        row: Of :data:`camvid_rows.ROWS`.
        seed: Of everything random.
        experiment: Where and how long.

    Returns:
        Whether it was run.
    """
    path = experiment.row_file(row, seed)
    with only_one(path.with_suffix('.lock'), wait=False) as ours:
        if not ours or path.exists():
            return False
        checkpoint, train_seconds = train_stage(ROWS[row], experiment, seed)
        cfg = test_config(ROWS[row], experiment, seed)
        crf = crf_settings(experiment)
        single, multi_scale, with_crf = (
            run_test(configure_test(cfg, **way), checkpoint).metrics
            for way in ({}, {'tta': True}, {'tta': True, 'crf': crf}))
        levels = [name[5:] for name in single if name.startswith('mIoU_')]
        parameters, image_seconds = _measure(cfg, checkpoint)
        figures = {
            'row': row,
            'seed': seed,
            'iterations': experiment.iterations,
            'miou': single['mIoU'],
            'levels': {level: single[f'mIoU_{level}'] for level in levels},
            'ms': multi_scale['mIoU'],
            'ms_crf': with_crf['mIoU'],
            'trimap': _trimap(single, ''),
            'trimap_levels': {level: _trimap(single, f'_{level}') for level in levels},
            'trimap_ms': _trimap(multi_scale, ''),
            'trimap_ms_crf': _trimap(with_crf, ''),
            'cpu_seconds_an_image': image_seconds,
            'train_cpu_seconds': train_seconds,
            'parameters': parameters,
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(figures, indent=2) + '\n')
    return True


def _trimap(metrics: dict[str, float], suffix: str) -> dict[int, float]:
    return {width: metrics[f'trimap_mIoU@{width}{suffix}'] for width in TRIMAP_WIDTHS}


def test_config(stage: Stage, experiment: Experiment, seed: int) -> Config:
    """Config of a row's last stage that the functions for testing take."""
    cfg = experiment.stage_config(stage, seed)
    cfg.work_dir = str(experiment.work_dir / 'tests')
    cfg.log_level = 'WARNING'
    return cfg


def _measure(cfg: Config, checkpoint: str) -> tuple[int, float]:
    """Count the trained parameters, and the CPU seconds of an image: the network, single scale."""
    cfg = configure_test(cfg)
    cfg.model.test_cfg.level_outputs = False
    model = init_model(cfg, checkpoint, device='cpu')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    seconds = []
    for index in range(min(_NUM_TIMED_IMAGES, len(dataset))):
        batch = pseudo_collate([dataset[index]])
        start = time.process_time()
        with torch.no_grad():
            model.test_step(batch)
        seconds.append(time.process_time() - start)
    parameters = sum(item.numel() for item in model.parameters() if item.requires_grad)
    return parameters, statistics.median(seconds)


def crf_settings(experiment: Experiment) -> dict:
    """Config of the CRF of all rows: the best of a grid on part of the training set.

    It is tuned after the multi-scale pass of the first row with seed 0, which is trained for it if
    it is not yet.
    """
    trials = experiment.work_dir / f'crf_{experiment.iterations}.json'
    with only_one(trials.with_suffix('.lock'), wait=True):
        if not trials.exists():
            first = next(iter(ROWS.values()))
            checkpoint, _ = train_stage(first, experiment, 0)
            cfg = test_config(first, experiment, 0)
            cfg.test_dataloader.dataset.ann_file = cfg.train_dataloader.dataset.ann_file
            tune_crf(cfg, checkpoint, num_images=NUM_CRF_IMAGES, grid=CRF_GRID, tta=True,
                     out=trials)
    best = next(trial for trial in json.loads(trials.read_text())['trials'] if trial['settings'])
    return dict(type='DenseCRF', **best['settings'])
