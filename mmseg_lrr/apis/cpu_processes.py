# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Several processes without a GPU, which the toolbox's launchers take for granted."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device

#: What the runner then wraps the model with; the defaults it uses name a GPU.
_WRAPPER = {'device_ids': 'None', 'broadcast_buffers': 'False'}


@contextmanager
def cpu_process_group(launcher: str, cfg: Config | None) -> Iterator[list[str]]:
    """Join the processes that ``torchrun`` has started where there is no GPU.

    The toolbox's ``--launcher pytorch`` selects a GPU for each process and fails without one,
    whatever the backend. A process group that is there already it leaves alone.

    Args:
        launcher: Value of ``--launcher``.
        cfg: The config, for ``env_cfg.dist_cfg.timeout`` (seconds) and ``model_wrapper_cfg``.

    Yields:
        What ``--cfg-options`` has to set for the runner to wrap the model without a GPU; nothing
        where no group was made: for another launcher, or on a machine with a GPU.
    """
    if launcher != 'pytorch' or get_device() != 'cpu':
        yield []
        return
    cfg = Config() if cfg is None else cfg
    timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    torch.distributed.init_process_group(
        'gloo', timeout=None if timeout is None else datetime.timedelta(seconds=timeout))
    given = cfg.get('model_wrapper_cfg') or {}
    options = {name: value for name, value in _WRAPPER.items() if name not in given}
    if 'find_unused_parameters' in cfg and 'find_unused_parameters' not in given:
        # The runner passes it to its own wrapper alone.
        options['find_unused_parameters'] = str(cfg.find_unused_parameters)
    try:
        yield [f'model_wrapper_cfg.{name}={value}' for name, value in options.items()]
    finally:
        torch.distributed.destroy_process_group()
