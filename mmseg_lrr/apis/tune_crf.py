# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Search the settings of the CRF on a few images of the test set."""

import itertools
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.apis import init_model
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from rich.progress import track

from mmseg_lrr.datasets.listed_files import check_lists_within
from mmseg_lrr.evaluation.image_areas import count_image, sum_areas
from mmseg_lrr.models.post_processing.dense_crf import PRESETS, DenseCRF
from mmseg_lrr.models.segmentors.restore import refine_with_crf
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.class_areas import intersection_over_union, mean_over_classes
from mmseg_lrr.replacing import replacing

from .checkpoint_check import check_checkpoint
from .inference import init_model_tta
from .testing import DEFAULT_CRF_PRESET, configure_test

#: What is searched where nothing else is said: around the settings of the DeepLab papers.
DEFAULT_GRID = {
    'bilateral_weight': (3, 4, 5),
    'bilateral_std_xy': (50, 65, 80, 120),
    'bilateral_std_rgb': (3, 5, 8, 13),
}


@dataclass(frozen=True)
class Trial:
    """One setting and what it gave.

    Attributes:
        settings: All settings of the CRF by name; None for the result without a CRF.
        miou: Mean IoU in percent on the chosen images.
        seconds_per_image: Of the CRF alone.
    """

    settings: dict[str, float] | None
    miou: float
    seconds_per_image: float


@dataclass(frozen=True)
class _Image:
    """One image: its labels and photograph, and the file of its probabilities."""

    sample: SegDataSample
    probabilities: Path


def parse_grid(words: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read ``name=value,value,...`` into the values of each setting.

    Raises:
        ValueError: There is no such setting, or a value is no number.
    """
    grid: dict[str, tuple[float, ...]] = {}
    names = next(iter(PRESETS.values()))
    for word in words:
        name, _, values = word.partition('=')
        checks.one_of('grid', name, names)
        try:
            grid[name] = tuple(
                int(value) if value.isdigit() else float(value) for value in values.split(','))
        except ValueError as error:
            raise ValueError(f'grid must be name=value,value,..., got {word!r}') from error
    return grid


def settings_of(grid: Mapping[str, Sequence[float]], preset: str) -> list[dict[str, float]]:
    """List the settings to try: every combination of the grid, and every preset.

    Args:
        grid: Values of some settings.
        preset: Name of the published settings that the others are taken from.

    Raises:
        ValueError: There is no such preset.
    """
    base = PRESETS[checks.one_of('preset', preset, PRESETS)]
    combinations = [
        {**base, **dict(zip(grid, values, strict=True))}
        for values in itertools.product(*grid.values())
    ]
    tried: list[dict[str, float]] = []
    for settings in [*PRESETS.values(), *combinations]:
        if settings not in tried:
            tried.append(dict(settings))
    return tried


def tune_crf(
    config: str | Path | Config,
    checkpoint: str,
    *,
    num_images: int = 10,
    grid: Mapping[str, Sequence[float]] | None = None,
    preset: str = DEFAULT_CRF_PRESET,
    tta: bool = False,
    device: str = 'cpu',
    out: str | Path | None = None,
    progress: Callable = track,
) -> list[Trial]:
    """Try settings of the CRF on images of a config's test set.

    The network sees each image once; its probabilities are kept in a temporary folder, as float16
    (C x H x W x 2 bytes an image). Tune on validation images, never on those that a figure is
    reported for.

    Args:
        config: Config, or its file.
        checkpoint: File.
        num_images: Images, evenly spaced over the test set.
        grid: Values of settings to combine; None: :data:`DEFAULT_GRID`. The presets are tried too.
        preset: Where the settings come from that are not in the grid.
        tta: Whether the CRF comes after multi-scale testing (ms-crf) or after a single pass.
        device: Where the network and the CRF run.
        out: JSON file for the trials; None writes none.
        progress: Wraps what is gone through, as :func:`rich.progress.track` does.

    Returns:
        The trials, best first; one has no settings: the result without a CRF.
    """
    checks.integer('num_images', num_images, 1)
    tried = settings_of(DEFAULT_GRID if grid is None else grid, preset)
    for settings in tried:
        DenseCRF(**settings)  # A wrong value ends it here, not after an hour.
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    evaluator = cfg.get('test_evaluator')
    ignore_index = evaluator.get('ignore_index', 255) if isinstance(evaluator, dict) else 255
    with tempfile.TemporaryDirectory(prefix='tune_crf_') as folder:
        num_classes, images = _predict(
            cfg, checkpoint, num_images, tta, device, Path(folder), progress)
        trials = [
            _try(settings, images, num_classes, ignore_index, device)
            for settings in progress([None, *tried], description='settings')
        ]
    trials.sort(key=lambda trial: -trial.miou)
    if out is not None:
        record = {
            'images': [image.sample.metainfo['img_path'] for image in images],
            'after': 'multi-scale' if tta else 'single pass',
            'trials': [vars(trial) for trial in trials],
        }
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + '\n')
    return trials


def format_trials(trials: Sequence[Trial], most: int = 20) -> str:
    """Write the best trials as a table, and the one without a CRF."""
    names = list(next(iter(PRESETS.values())))
    known = {tuple(settings.values()): name for name, settings in PRESETS.items()}
    lines = [f'{"mIoU":>6} {"s/image":>8}  settings']
    for number, trial in enumerate(trials):
        if number >= most and trial.settings is not None:
            continue
        text = 'no CRF'
        if trial.settings is not None:
            values = [trial.settings[name] for name in names]
            text = ' '.join(f'{name}={value:g}' for name, value in
                            zip(names, values, strict=True))
            if tuple(values) in known:
                text += f'  ({known[tuple(values)]})'
        lines.append(f'{trial.miou:6.2f} {trial.seconds_per_image:8.3f}  {text}')
    return '\n'.join(lines)


@torch.no_grad()
def _predict(cfg: Config, checkpoint: str, num_images: int, tta: bool, device: str, folder: Path,
             progress: Callable) -> tuple[int, list[_Image]]:
    """Run the network; give the number of classes and the images."""
    model = (init_model_tta if tta else init_model)(configure_test(cfg), checkpoint, device)
    check_checkpoint(model, checkpoint)
    dataset = DATASETS.build(configure_test(cfg, tta=tta).test_dataloader.dataset)
    check_lists_within(dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).round().astype(int)
    images = []
    for index in progress(chosen.tolist(), description='network'):
        (sample, ) = model.test_step(pseudo_collate([dataset[index]]))
        path = folder / f'{index}.npy'
        np.save(path, sample.seg_logits.data.float().exp().half().cpu().numpy())
        # Neither the scores nor the levels' predictions.
        kept = SegDataSample(metainfo=sample.metainfo)
        if 'gt_sem_seg' in sample:
            kept.gt_sem_seg = sample.gt_sem_seg
        images.append(_Image(kept, path))
    return len(dataset.metainfo['classes']), images


def _try(settings: dict[str, float] | None, images: Sequence[_Image], num_classes: int,
         ignore_index: int, device: str) -> Trial:
    """Score one setting on all images."""
    crf = None if settings is None else DenseCRF(**settings).to(device)
    seconds = 0.
    counts = []
    for image in images:
        probabilities = torch.from_numpy(np.load(image.probabilities)).to(device).float()
        if crf is not None:
            start = time.perf_counter()
            # Back on the CPU it is surely done.
            probabilities = refine_with_crf(crf, probabilities, image.sample.metainfo).cpu()
            seconds += time.perf_counter() - start
        prediction = probabilities.argmax(dim=0, keepdim=True).cpu()
        image.sample.pred_sem_seg = PixelData(data=prediction)
        counts.append(count_image(image.sample.to_dict(), num_classes, ignore_index))
    (areas, ) = sum_areas(counts, num_classes).sum(axis=1)
    miou = float(100 * mean_over_classes(intersection_over_union(areas)))
    return Trial(settings, miou, seconds / len(images))
