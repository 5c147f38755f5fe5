# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Test a checkpoint from Python, as ``tools/test.py`` does from the command line."""

import copy

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner


def configure_test(cfg: Config, *, tta: bool = False, crf: dict | None = None) -> Config:
    """A copy of a config set to test in one of the ways of the poster's table.

    Args:
        cfg: a config of a segmentor.
        tta: multi-scale, by the config's ``tta_model`` and ``tta_pipeline``.
        crf: config of the CRF after it, e.g. ``dict(type='DenseCRF')``; None for none.

    Raises:
        KeyError: if ``tta`` is asked for and the config has no ``tta_model`` or ``tta_pipeline``.
    """
    cfg = copy.deepcopy(cfg)
    if tta:
        for name in ('tta_model', 'tta_pipeline'):
            if name not in cfg:
                raise KeyError(f'multi-scale testing needs {name} in the config; it has none')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
        if crf is not None:
            cfg.model.crf = crf
    elif crf is not None:
        cfg.model.test_cfg.crf = crf
    return cfg


def evaluate(cfg: Config, checkpoint: str, *, tta: bool = False,
             crf: dict | None = None) -> dict[str, float]:
    """Test a checkpoint on the config's test set.

    Args:
        cfg: config; its ``work_dir`` takes the logs.
        checkpoint: file.
        tta: see :func:`configure_test`.
        crf: see :func:`configure_test`.

    Returns:
        The metrics of the config's ``test_evaluator``.
    """
    cfg = configure_test(cfg, tta=tta, crf=crf)
    cfg.load_from = checkpoint
    return Runner.from_cfg(cfg).test()
