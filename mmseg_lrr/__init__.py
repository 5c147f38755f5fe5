# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Laplacian Reconstruction and Refinement (LRR) as a plug-in of MMSegmentation.

Importing this package is all a program or a config file
(``custom_imports = dict(imports=['mmseg_lrr'])``) has to do: it prepares the installed stack
(:mod:`mmseg_lrr.compat`) and registers every class of the package.
"""

from . import compat

# The stack has to be ready before anything imports ``mmseg.models``, so this line comes first.
compat.prepare()

from . import datasets, engine, evaluation, models  # noqa: E402
from .apis.configs import get_config  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'compat', 'datasets', 'engine', 'evaluation', 'get_config', 'models']
