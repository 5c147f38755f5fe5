# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A small project with random weights."""

from pathlib import Path

import pytest

from ..test_apis.conftest import _quick_runners  # noqa: F401
from ..test_apis.small_project import make_project


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'), num_images=5)
