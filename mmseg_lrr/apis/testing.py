# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test a checkpoint from Python, as ``tools/test.py`` does from the command line."""

import copy
import itertools
from dataclasses import dataclass

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from .checkpoint_check import check_checkpoint

#: The CRF that the command lines use where no other is named.
DEFAULT_CRF_PRESET = 'deeplab_v2_vgg16'

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestResult:
    """What a test gave.

    Attributes:
        metrics: by name, as the evaluator gives them.
        num_images: images in the test set.
        seconds_per_image: wall-clock time of the test over the number of images: loading, network,
            CRF and metrics, as far as they do not overlap. Starting up is not in it.
    """

    __test__ = False  # Not a class of tests, whatever pytest makes of its name.

    metrics: dict[str, float]
    num_images: int
    seconds_per_image: float


def crf_config(preset: str = DEFAULT_CRF_PRESET) -> dict[str, str]:
    """Config of the CRF with published settings.

    Raises:
        ValueError: if there is no such preset; the message lists their names.
    """
    return dict(type='DenseCRF', preset=checks.one_of('CRF preset', preset, PRESETS))


def default_crf(cfg: Config) -> dict:
    """Config of the CRF that a config names: its ``tta_model``'s, its ``crf``, or the default."""
    own = cfg.get('tta_model', {}).get('crf') or cfg.get('crf')
    return own.to_dict() if own else crf_config()


def configure_test(cfg: Config, *, tta: bool = False, crf: dict | None = None) -> Config:
    """A copy of a config set to test in one of the ways of the poster's table.

    Args:
        cfg: a config of a segmentor.
        tta: multi-scale, by the config's ``tta_model`` and ``tta_pipeline``.
        crf: config of the CRF after it, e.g. ``dict(type='DenseCRF')``; None for none, whatever
            the config itself says.

    Raises:
        KeyError: if ``tta`` is asked for and the config has no ``tta_model`` or ``tta_pipeline``.
    """
    cfg = copy.deepcopy(cfg)
    if cfg.model.get('test_cfg'):
        cfg.model.test_cfg.pop('crf', None)
    if tta:
        for name in ('tta_model', 'tta_pipeline'):
            if name not in cfg:
                raise KeyError(f'multi-scale testing needs {name} in the config; it has none')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = ConfigDict(**{**cfg.tta_model, 'module': cfg.model})
        cfg.model.pop('crf', None)
        if crf is not None:
            cfg.model.crf = crf
    elif crf is not None:
        cfg.model.test_cfg = ConfigDict(**(cfg.model.get('test_cfg') or {}), crf=crf)
    return cfg


def run_test(cfg: Config, checkpoint: str) -> TestResult:
    """Test a checkpoint on the config's test set, as the config says.

    Args:
        cfg: config, such as :func:`configure_test` gives; its ``work_dir`` takes the logs. It is
            not changed.
        checkpoint: file.

    Raises:
        ValueError: if the checkpoint is one of another network, or the list of images is empty.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from = checkpoint
    # Runs of one name that start within a second would share their log and its times.
    cfg.experiment_name = f'{cfg.get("experiment_name", "test")}_{next(_numbers)}'
    runner = Runner.from_cfg(cfg)
    check_checkpoint(runner.model, checkpoint)
    metrics = runner.test()
    num_images = len(runner.test_dataloader.dataset)
    seconds, _ = runner.message_hub.get_scalar('test/time').data
    return TestResult(metrics, num_images, float(seconds.sum()) / num_images)


def evaluate(cfg: Config, checkpoint: str, *, tta: bool = False,
             crf: dict | None = None) -> dict[str, float]:
    """Test a checkpoint on the config's test set in one of the ways of the poster's table.

    Args:
        cfg: config; its ``work_dir`` takes the logs.
        checkpoint: file.
        tta: see :func:`configure_test`.
        crf: see :func:`configure_test`.

    Returns:
        The metrics of the config's ``test_evaluator``.
    """
    return run_test(configure_test(cfg, tta=tta, crf=crf), checkpoint).metrics
