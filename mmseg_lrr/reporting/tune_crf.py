# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Search the settings of the CRF on a few images of the test set."""

import itertools
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
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

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.apis.inference import init_model_tta
from mmseg_lrr.apis.testing import DEFAULT_CRF_PRESET, configure_test
from mmseg_lrr.evaluation.image_areas import count_image, sum_areas
from mmseg_lrr.files import replacing
from mmseg_lrr.models.post_processing.dense_crf import PRESETS, DenseCRF
from mmseg_lrr.models.segmentors.restore import refine_with_crf
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.class_areas import intersection_over_union, mean_over_classes

#: Values around the settings of the DeepLab papers.
DEFAULT_GRID = {
    'bilateral_weight': (3, 4, 5),
    'bilateral_std_xy': (50, 65, 80, 120),
    'bilateral_std_rgb': (3, 5, 8, 13),
}


@dataclass(frozen=True)
class Trial:
    """One setting and its result.

    Attributes:
        settings: All settings of the CRF by name; None for the result without a CRF.
        miou: Mean IoU in percent on the chosen images.
        seconds_per_image: Time of the CRF alone.
    """

    settings: dict[str, float] | None
    miou: float
    seconds_per_image: float


def tune_crf(
    cfg: Config,
    checkpoint: str,
    *,
    num_images: int = 10,
    grid: Mapping[str, Sequence[float]] | None = None,
    preset: str = DEFAULT_CRF_PRESET,
    tta: bool = False,
    device: str = 'cpu',
    out: str | Path | None = None,
) -> list[Trial]:
    """Try settings of the CRF on images of a config's test set.

    The network sees each image once; its probabilities are kept in a temporary folder in float16
    (C x H x W x 2 bytes for each image). Tune on validation images, never on those that a number is
    reported for.

    Args:
        cfg: Config of a segmentor.
        checkpoint: File.
        num_images: Number of images, evenly spaced over the test set.
        grid: Values of settings to combine; None for :data:`DEFAULT_GRID`. The presets are tried
            too.
        preset: Name of the published settings that those outside the grid are taken from.
        tta: Whether the CRF comes after multi-scale testing (ms-crf) or after a single pass.
        device: Where the network and the CRF run.
        out: JSON file for the trials; None writes none.

    Returns:
        The trials, best first; one of them is without a CRF.
    """
    grid = DEFAULT_GRID if grid is None else grid
    published = PRESETS[checks.one_of('preset', preset, PRESETS)]
    tried = [*PRESETS.values(), *({**published, **dict(zip(grid, values, strict=True))}
                                  for values in itertools.product(*grid.values()))]
    tried = [settings for number, settings in enumerate(tried) if settings not in tried[:number]]
    # A wrong setting fails here, not after an hour.
    crfs = [None, *(DenseCRF(**settings).to(device) for settings in tried)]
    evaluator = cfg.get('test_evaluator')
    ignore_index = evaluator.get('ignore_index', 255) if isinstance(evaluator, dict) else 255
    with tempfile.TemporaryDirectory(prefix='tune_crf_') as folder:
        num_classes, samples = _predict(cfg, checkpoint, num_images, tta, device, Path(folder))
        trials = [
            Trial(settings, *_score(crf, samples, num_classes, ignore_index, device))
            for settings, crf in track(
                list(zip([None, *tried], crfs, strict=True)), description='settings')]
    trials.sort(key=lambda trial: -trial.miou)
    if out is not None:
        record = {
            'images': [sample.img_path for sample in samples.values()],
            'after': 'multi-scale' if tta else 'single pass',
            'trials': [vars(trial) for trial in trials],
        }
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + '\n')
    return trials


@torch.no_grad()
def _predict(cfg: Config, checkpoint: str, num_images: int, tta: bool, device: str, folder: Path
             ) -> tuple[int, dict[Path, SegDataSample]]:
    """Run the network; give the number of classes, and files of probabilities -> samples."""
    model = (init_model_tta if tta else init_model)(configure_test(cfg), device=device)
    check_checkpoint(model, checkpoint)
    dataset = DATASETS.build(configure_test(cfg, tta=tta).test_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).round().astype(int)
    samples = {}
    for index in track(chosen.tolist(), description='network'):
        (sample, ) = model.test_step(pseudo_collate([dataset[index]]))
        path = folder / f'{index}.npy'
        np.save(path, sample.seg_logits.data.float().exp().half().cpu().numpy())
        # Neither the scores nor the levels' predictions.
        samples[path] = SegDataSample(metainfo=sample.metainfo)
        if 'gt_sem_seg' in sample:
            samples[path].gt_sem_seg = sample.gt_sem_seg
    return len(dataset.metainfo['classes']), samples


def _score(crf: DenseCRF | None, samples: Mapping[Path, SegDataSample], num_classes: int,
           ignore_index: int, device: str) -> tuple[float, float]:
    """Mean IoU in percent of one setting, and its seconds per image."""
    seconds, counts = 0., []
    for path, sample in samples.items():
        probabilities = torch.from_numpy(np.load(path)).to(device).float()
        if crf is not None:
            start = time.perf_counter()
            # Copied to the CPU, it is surely done.
            probabilities = refine_with_crf(crf, probabilities, sample.metainfo).cpu()
            seconds += time.perf_counter() - start
        sample.pred_sem_seg = PixelData(data=probabilities.argmax(dim=0, keepdim=True).cpu())
        counts += count_image(sample.to_dict(), num_classes, ignore_index)
    (areas, ) = sum_areas(counts, num_classes).sum(axis=1)
    miou = float(100 * mean_over_classes(intersection_over_union(areas)))
    return miou, seconds / len(samples)
