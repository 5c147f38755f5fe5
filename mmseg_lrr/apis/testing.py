# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test a checkpoint from Python, as ``tools/test.py`` does from the command line."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmengine.config import Config, ConfigDict

from mmseg_lrr.models.post_processing.dense_crf import PRESETS
from mmseg_lrr.ops import checks

from .checkpoint_check import CheckedRunner

#: The CRF that the command lines use where no other is named.
DEFAULT_CRF_PRESET = 'deeplab_v2_vgg16'

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestResult:
    """What a test gave.

    Attributes:
        metrics: By name, as the evaluator gives them.
        num_images: Number of images in the test set.
        seconds_per_image: Wall-clock time of the test over the number of images: loading, network,
            CRF and metrics, as far as they do not overlap. Starting up is not in it.
    """

    __test__ = False  # Not a class of tests, whatever pytest makes of its name.

    metrics: dict[str, float]
    num_images: int
    seconds_per_image: float


def crf_config(preset: str = DEFAULT_CRF_PRESET) -> dict[str, str]:
    """Give the config of the CRF with published settings."""
    return dict(type='DenseCRF', preset=checks.one_of('preset', preset, PRESETS))


def default_crf(cfg: Config) -> dict:
    """Give the CRF that a config names: its ``tta_model``'s, its ``crf``, or the default."""
    own = cfg.get('tta_model', {}).get('crf') or cfg.get('crf')
    return own.to_dict() if own else crf_config()


def configure_test(cfg: Config, *, tta: bool = False, crf: dict | None = None) -> Config:
    """Copy a config and set it to test in one of the ways of the poster's table.

    Args:
        cfg: Config of a segmentor.
        tta: Whether to test at multiple scales, by the config's ``tta_model`` and
            ``tta_pipeline``.
        crf: Config of the CRF after it, e.g. ``dict(type='DenseCRF')``; None for none, whatever
            the config itself says.

    Returns:
        The copy.
    """
    cfg = copy.deepcopy(cfg)
    if cfg.model.get('test_cfg'):
        cfg.model.test_cfg.pop('crf', None)
    if tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        tta_model = cfg.tta_model
        if crf is not None and tta_model.type == 'SegTTAModel':  # has no room for one
            tta_model = dict(type='LRRTTAModel', fusion='mean')
        cfg.model = ConfigDict(**{**tta_model, 'module': cfg.model})
        cfg.model.pop('crf', None)
        if crf is not None:
            cfg.model.crf = crf
    elif crf is not None:
        cfg.model.test_cfg = ConfigDict(**(cfg.model.get('test_cfg') or {}), crf=crf)
    return cfg


def loads_labels(step: Mapping) -> bool:
    """Say whether the config of a transform loads label maps."""
    return step['type'] in ('LoadAnnotations', 'LoadAnnotationsIfAny')


def without_labels(pipeline: Sequence[Mapping]) -> list[Mapping]:
    """A pipeline for images without labels, inside ``TestTimeAug`` too."""
    return [
        {**step, 'transforms': list(filter(None, map(without_labels, step['transforms'])))}
        if step['type'] == 'TestTimeAug' else step
        for step in pipeline if not loads_labels(step)]


def run_test(cfg: Config, checkpoint: str) -> TestResult:
    """Test a checkpoint on the config's test set, as the config says.

    Args:
        cfg: Config, such as :func:`configure_test` gives; its ``work_dir`` takes the logs. It is
            not changed.
        checkpoint: File.

    Raises:
        ValueError: The checkpoint is one of another network.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from = checkpoint
    # Runs of one name that start within a second would share their log and its times.
    cfg.experiment_name = f'{cfg.get("experiment_name", "test")}_{next(_numbers)}'
    runner = CheckedRunner.from_cfg(cfg)
    metrics = runner.test()
    num_images = len(runner.test_dataloader.dataset)
    seconds, _ = runner.message_hub.get_scalar('test/time').data
    return TestResult(metrics, num_images, float(seconds.sum()) / num_images)
