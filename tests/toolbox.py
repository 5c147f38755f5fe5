# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Which toolbox the tests run on."""

from importlib import metadata

import pytest
import torch
from mmengine.config import Config
from packaging.version import Version

#: The maintained forks have the same modules in distributions of other names.
IS_FORK = any(found.metadata['Name'] == 'onedl-mmsegmentation'
              for found in metadata.distributions())


def since_torch(version: str, what: str) -> pytest.MarkDecorator:
    """Skip a test of what torch has, or does, since a version."""
    return pytest.mark.skipif(Version(torch.__version__) < Version(version),
                              reason=f'torch before {version} {what}')


def _prefix_problem() -> str | None:
    """What stops the toolbox's configs from being found by ``mmseg::``, if anything does."""
    try:
        Config.fromstring("_base_ = 'mmseg::_base_/schedules/schedule_20k.py'", '.py')
    except (ModuleNotFoundError, FileNotFoundError) as error:
        # The first in forks, which mmengine does not know; the second in editable checkouts,
        # which it takes for wheels.
        return str(error)
    return None


_PROBLEM = _prefix_problem()
needs_prefix = pytest.mark.skipif(
    _PROBLEM is not None, reason=f'mmseg:: finds no config: {_PROBLEM}')
