# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Small tests, as those of the functions."""

from ..test_apis.conftest import _quick_runners  # noqa: F401
