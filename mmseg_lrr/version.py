# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The package's version; ``setup.cfg`` reads it from here."""

__version__ = '0.1.0'
