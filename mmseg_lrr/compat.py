# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the installed versions of torch, mmengine, mmcv and mmseg need before LRR can run on them.

:func:`prepare` is called once, when ``mmseg_lrr`` is imported.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from packaging.version import Version

#: Module -> (name on the package index, first supported release, first release beyond).
#: The forks published as ``onedl-*`` have the same module names and lie inside these ranges.
SUPPORTED = {
    'torch': ('torch', '2.0', '3'),
    'mmengine': ('mmengine', '0.10', '1'),
    'mmcv': ('mmcv', '2.0', '2.4'),
    'mmseg': ('mmsegmentation', '1.2', '1.5'),
}

_REMEDY = (
    'In a fresh environment, install the tested versions by pip install ".[cpu]". In an existing '
    'MMSegmentation set-up, do not use that extra (it would replace a full mmcv by mmcv-lite); '
    'install the one package as the set-up was made.'
)

#: Statistics that mmengine's HistoryBuffer pickles as ``getattr(HistoryBuffer, name)``.
_STATISTICS = ('min', 'max', 'current', 'mean')


class UnsupportedStackError(ImportError):
    """A package is missing, or its version is not supported."""


def check_versions(supported: dict[str, tuple[str, str, str]] = SUPPORTED) -> None:
    """Refuse versions that LRR does not run on, before they fail somewhere less telling.

    Raises:
        UnsupportedStackError: A package cannot be imported, or its version lies outside its range.
    """
    for module, (package, first, beyond) in supported.items():
        wanted = f'mmseg_lrr needs {package} >= {first}, < {beyond}'
        try:
            version = importlib.import_module(module).__version__
        except (ModuleNotFoundError, AssertionError) as error:
            # mmseg asserts on the versions of mmcv and mmengine.
            raise UnsupportedStackError(
                f'{wanted}, but {module!r} cannot be imported: {error} {_REMEDY}') from error
        if not Version(first).release <= Version(version).release < Version(beyond).release:
            raise UnsupportedStackError(f'{wanted}, but found {version}. {_REMEDY}')


class _MissingOps(MetaPathFinder, Loader):
    """Finds and loads a module ``mmcv._ext`` whose operators raise when they are called.

    It stands last in ``sys.meta_path``, so that compiled operators win. Being a finder, it gives
    the module a ``__spec__``, without which mmcv's and mmengine's own probe
    (``pkgutil.find_loader('mmcv._ext')``) raises ``ValueError``.
    """

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == 'mmcv._ext' else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _missing_op  # type: ignore[method-assign]


def _missing_op(name: str) -> Callable[..., Any]:
    """Look up one name of the module that stands for ``mmcv._ext`` (PEP 562)."""
    if name.startswith('__'):
        raise AttributeError(name)
    if name in ('get_compiler_version', 'get_compiling_cuda_version'):
        # mmcv's environment report asks for these.
        return lambda: 'n/a'

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'the compiled operator {name!r} was called, but this mmcv has none (mmcv-lite). LRR '
            'itself needs none; for a model that does, install the full mmcv in its place.')

    return op


def provide_missing_ops() -> None:
    """Let ``mmcv.ops``, which ``mmseg.models`` imports, be imported without ``mmcv._ext``."""
    if importlib.util.find_spec('mmcv._ext') is None:
        sys.meta_path.append(_MissingOps())


def _statistic(owner: Any, name: str) -> Callable[..., Any]:
    """Stand for ``getattr`` in a checkpoint: give HistoryBuffer's statistics and nothing else."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise ValueError(f'a checkpoint must not ask for getattr({owner!r}, {name!r})')
    return getattr(HistoryBuffer, name)


def checkpoint_globals() -> list[Any]:
    """List what a checkpoint of mmengine refers to besides tensors.

    Returns:
        Entries for ``torch.serialization.add_safe_globals``: mmengine's HistoryBuffer (logged
        values), and NumPy's arrays, scalars and dtypes under both spellings of its module
        (``numpy.core`` before 2.0, ``numpy._core`` since), as a checkpoint has that of the NumPy
        which wrote it.
    """
    from mmengine.logging import HistoryBuffer

    codes = np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?SU'
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    return [
        HistoryBuffer, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in codes},
        (_statistic, 'builtins.getattr'),
        *((reconstruct, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
        *((scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    ]


def prepare() -> None:
    """Make the installed packages ready.

    Raises:
        UnsupportedStackError: See :func:`check_versions`.
    """
    check_versions()
    provide_missing_ops()
    importlib.import_module('mmseg.models')

    import torch
    from mmengine.config.utils import MODULE2PACKAGE

    # Since 2.6 torch.load refuses what is neither a tensor nor listed; mmengine lists nothing.
    if Version(torch.__version__).release >= (2, 6):
        torch.serialization.add_safe_globals(checkpoint_globals())
    # mmengine.hub.get_config('mmseg_lrr::...') looks a module's distribution up here.
    MODULE2PACKAGE.setdefault('mmseg_lrr', 'mmseg-lrr')
