# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def _toolbox_scope() -> Iterator[None]:
    """Names in a config are the toolbox's, as the Runner makes them."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
