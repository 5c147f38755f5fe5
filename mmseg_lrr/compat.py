# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the versions of the toolbox's stack need before LRR can run on them.

Each function takes care of one thing that otherwise stops the toolbox; :func:`prepare` calls them
in order when ``mmseg_lrr`` is imported. Nothing here changes files, and nothing is loaded that
the toolbox would not load itself.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlparse

#: Import name -> (name on the package index, first supported release, first release beyond).
#: The forks published as ``onedl-*`` have the same import names and lie inside these ranges.
SUPPORTED: dict[str, tuple[str, str, str]] = {
    'torch': ('torch', '2.4', '3'),
    'mmengine': ('mmengine', '0.10', '1'),
    'mmcv': ('mmcv', '2.0', '2.4'),
    'mmseg': ('mmsegmentation', '1.2', '1.5'),
}

_REMEDY = (
    'In a fresh environment, install the tested stack with the [cpu] extra: '
    'pip install ".[cpu]". In an existing MMSegmentation set-up, do not use that extra (it would '
    'replace a full mmcv by mmcv-lite); install the one package by the way the set-up was made.'
)

#: Statistics that mmengine's HistoryBuffer pickles as ``getattr(HistoryBuffer, name)``.
_HISTORY_METHODS = ('min', 'max', 'current', 'mean')

#: The two names in ``mmcv._ext`` that are facts about the build and not ops.
_BUILD_FACTS = ('get_compiler_version', 'get_compiling_cuda_version')


class UnsupportedStackError(ImportError):
    """A package of the stack is missing, or its version is not supported."""


def _release(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version: ``'2.14.1+cpu'`` gives ``(2, 14, 1)``."""
    match = re.match(r'\d+(\.\d+)*', version)
    if match is None:
        raise UnsupportedStackError(f'cannot read the version number {version!r}')
    return tuple(int(part) for part in match.group().split('.'))


def check_versions(supported: dict[str, tuple[str, str, str]] = SUPPORTED) -> dict[str, str]:
    """Refuse a stack that LRR does not run on, before it fails somewhere less telling.

    Args:
        supported: Import name -> (package name, first release, first release beyond).

    Returns:
        Import name -> version found.

    Raises:
        UnsupportedStackError: A package is missing, its version lies outside its range, or the
            toolbox itself refuses the combination. The message says what was found, what is
            supported, and what to do.
    """
    found: dict[str, str] = {}
    for module, (package, first, beyond) in supported.items():
        wanted = f'{package} >= {first}, < {beyond}'
        try:
            version = str(importlib.import_module(module).__version__)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise UnsupportedStackError(
                f'mmseg_lrr needs {wanted}, but there is no module {module!r} here. {_REMEDY}'
            ) from error
        except AssertionError as error:
            # MMSegmentation asserts on mmcv's and mmengine's versions, with a text that does not
            # say which upper limit was passed.
            have = ', '.join(f'{name} {number}' for name, number in found.items())
            raise UnsupportedStackError(
                f'the installed {package} refuses the packages beside it (found: {have}): '
                f'{error} mmsegmentation 1.2 goes with mmcv >= 2.0, < 2.2. {_REMEDY}'
            ) from error
        if not _release(first) <= _release(version) < _release(beyond):
            raise UnsupportedStackError(
                f'mmseg_lrr found {package} {version}, but supports {wanted}. {_REMEDY}'
            )
        found[module] = version
    return found


def _missing_op(name: str) -> Callable[..., NoReturn]:
    """Make the function that stands for one compiled op and says so when it is called."""

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'the compiled op {name!r} was called, but the installed mmcv has no compiled ops '
            '(mmcv._ext is absent, as in mmcv-lite). LRR itself needs none; for a model that '
            'does, install the full mmcv (e.g. by "mim install mmcv") in place of mmcv-lite.'
        )

    op.__name__ = op.__qualname__ = name
    return op


def _op_stand_in(name: str) -> Callable[..., Any]:
    """Look up one name of the module that stands in for ``mmcv._ext`` (PEP 562)."""
    if name.startswith('__'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")
    if name in _BUILD_FACTS:
        # mmcv's environment report asks for these and writes 'n/a' where nothing was compiled.
        return lambda: 'n/a'
    return _missing_op(name)


class _OpsStandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads a module ``mmcv._ext`` whose ops raise when called.

    It stands last in ``sys.meta_path``, so that compiled ops always win. Being a finder, it gives
    the module a ``__spec__``, without which mmcv's and mmengine's own probe
    (``pkgutil.find_loader('mmcv._ext')``) raises ``ValueError``. The probe then answers that the
    ops exist; its callers only import op classes for ``isinstance`` checks and registration,
    which works with the stand-in.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == 'mmcv._ext':
            return importlib.machinery.ModuleSpec(fullname, self, origin='mmseg_lrr.compat')
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = 'Stands in for the compiled ops, which this mmcv does not have.'
        module.__getattr__ = _op_stand_in  # type: ignore[method-assign]


def provide_missing_ops() -> bool:
    """Let ``mmseg.models`` be imported with an mmcv that has no compiled ops.

    ``mmcv-lite`` has the Python of ``mmcv.ops``, but every file of it asks for ``mmcv._ext`` when
    it is imported, and ``mmseg.models`` imports ``mmcv.ops``.

    Returns:
        Whether a stand-in was put in place; False where ``mmcv._ext`` (real, or an earlier
        stand-in) is there already.
    """
    if importlib.util.find_spec('mmcv._ext') is not None:
        return False
    sys.meta_path.append(_OpsStandIn())
    return True


def import_toolbox_models() -> None:
    """Import ``mmseg.models``, now that it can be, and explain a failure.

    Raises:
        UnsupportedStackError: A module is missing, or an earlier import in this process had
            failed half-way, so that classes are registered already and the toolbox cannot be
            imported again. The message says what to do.
    """
    try:
        importlib.import_module('mmseg.models')
    except KeyError as error:
        # What mmengine's registry raises on a name that it has.
        raise UnsupportedStackError(
            f'mmseg.models cannot be imported: {error}. An earlier import of it in this process '
            'had failed and left classes registered. Start a new process (in a notebook, restart '
            'the kernel) and import mmseg_lrr before anything of mmseg.'
        ) from error
    except ModuleNotFoundError as error:
        raise UnsupportedStackError(
            f'mmseg.models cannot be imported: {error}. Install the package that has the module '
            f'{error.name!r} (MMSegmentation does not declare all it needs: pip install ftfy '
            'regex), then start a new process.'
        ) from error


def _history_method(owner: Any, name: str, *default: Any) -> Callable[..., Any]:
    """Stand in for ``getattr`` while a checkpoint is unpickled.

    Pickle writes a method as ``getattr(HistoryBuffer, 'mean')``. This gives exactly the four
    statistics mmengine's HistoryBuffer pickles and refuses any other object or name, so that a
    hostile file cannot walk from an allowed object to one that runs commands.

    Raises:
        pickle.UnpicklingError: Anything but those four was asked for.
    """
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in _HISTORY_METHODS and not default:
        return HistoryBuffer.__dict__[name]
    raise pickle.UnpicklingError(
        f'refused: the checkpoint asks for getattr({owner!r}, {name!r}); only the statistics '
        f'{", ".join(_HISTORY_METHODS)} of mmengine\'s HistoryBuffer are allowed.'
    )


def checkpoint_globals() -> list[Any]:
    """List what a checkpoint of mmengine refers to besides tensors.

    Returns:
        Entries for ``torch.serialization.add_safe_globals``: mmengine's HistoryBuffer (the
        message hub's logged values), and stand-ins under the names of NumPy's arrays, scalars
        and dtypes and of ``builtins.getattr`` (:func:`_history_method`): what is listed can be
        called with any arguments. Both spellings of NumPy's module are given (``numpy.core``
        before 2.0, ``numpy._core`` since), because a checkpoint keeps the one of the NumPy that
        wrote it.
    """
    from mmengine.logging import HistoryBuffer

    from .ops import pickled_arrays

    entries: list[Any] = [
        HistoryBuffer,
        (pickled_arrays.PickledArray, 'numpy.ndarray'),
        (pickled_arrays.PickledDtype, 'numpy.dtype'),
        (_history_method, 'builtins.getattr'),
    ]
    for core in ('numpy.core', 'numpy._core'):
        entries.append((pickled_arrays.reconstruct, f'{core}.multiarray._reconstruct'))
        entries.append((pickled_arrays.scalar, f'{core}.multiarray.scalar'))
    return entries


def allow_checkpoints() -> None:
    """Let torch load mmengine's checkpoints with its protection (``weights_only=True``) on.

    Since torch 2.6 ``torch.load`` refuses what is not a tensor unless it is listed; mmengine
    0.10 calls it without listing what its own checkpoints hold. Before 2.6 that protection is not
    the default and there is nothing to list.
    """
    import torch

    if _release(torch.__version__) >= (2, 6):
        torch.serialization.add_safe_globals(checkpoint_globals())


class _RefusedArchive(pickle.UnpicklingError):
    """An archive that would fill the memory, or holds a program."""


def _check_archive(path: Path) -> None:
    """Refuse programs, and an archive that is larger inside: torch does not compress."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        # As torch itself tells them; releases before 2.6 would load one.
        if any(entry.filename.endswith('/constants.pkl') for entry in entries):
            raise _RefusedArchive(f'refused: {path} is a TorchScript program, not weights')
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > path.stat().st_size:
            raise _RefusedArchive(
                f'refused: {path} unpacks to {unpacked} bytes, more than its own '
                f'{path.stat().st_size}; torch.save writes no such file'
            )


@functools.cache
def _listed_globals() -> dict[str, Any]:
    """What a checkpoint may refer to, by its full name."""
    from torch._weights_only_unpickler import _get_allowed_globals

    # torch 2.4 lists no function that pickle's second protocol spells bytes with.
    listed = dict(_get_allowed_globals()) | {'_codecs.encode': codecs.encode}
    for entry in checkpoint_globals():
        value, full_name = entry if isinstance(entry, tuple) else (
            entry, f'{entry.__module__}.{entry.__qualname__}')
        listed[full_name] = value
    return listed


# The one written in Python: the compiled one cannot be told what it may build.
class _ListedUnpickler(pickle._Unpickler):
    """For torch before 2.6: what is not listed is not looked up, so it cannot be called."""

    def find_class(self, module: str, name: str) -> Any:
        # Old pickles have Python 2's names of modules.
        wanted = f'{IMPORT_MAPPING.get(module, module)}.{name}'
        if wanted not in _listed_globals():
            raise pickle.UnpicklingError(f'{wanted} is not allowed')
        return _listed_globals()[wanted]

    def _build_listed(self) -> None:
        """As torch's own: a state goes to objects of listed classes, to no class or function."""
        target = self.stack[-2]
        if type(target) not in _listed_globals().values():
            raise pickle.UnpicklingError(f'a state of a {type(target).__name__} is not allowed')
        self.load_build()

    dispatch = pickle._Unpickler.dispatch | {pickle.BUILD[0]: _build_listed}


def _listed_load(file: Any, **options: Any) -> Any:
    """``pickle.load``, which torch calls for files older than its archives."""
    try:
        return _ListedUnpickler(file, **options).load()
    except KeyError as error:  # as the compiled one names what is no pickle
        raise pickle.UnpicklingError(f'invalid load key {error}') from error


#: A module as ``torch.load`` wants one, in which :class:`_ListedUnpickler` stands for pickle's.
_listed_pickle = ModuleType('mmseg_lrr.compat.listed_pickle')
_listed_pickle.__dict__.update(vars(pickle), Unpickler=_ListedUnpickler, load=_listed_load)


@contextlib.contextmanager
def _own_statistics() -> Iterator[None]:
    """Keep the statistics of mmengine's HistoryBuffer, which a buffer in a file sets for all."""
    from mmengine.logging import HistoryBuffer

    # Its first buffer fills in the four.
    methods = HistoryBuffer()._statistics_methods
    before = dict(methods)
    try:
        yield
    finally:
        methods.clear()
        methods.update(before)


def load_protected(file: Any, map_location: Any = None) -> Any:
    """Load a checkpoint; nothing in it is executed.

    Args:
        file: Path, or an open binary file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file.
        pickle.UnpicklingError: The file holds something that is neither weights nor what
            mmengine keeps beside them, unpacks to more than its own size, or is damaged.
    """
    import torch
    from mmengine.logging import HistoryBuffer

    from .ops.pickled_arrays import ordinary

    name = Path(file) if isinstance(file, str | os.PathLike) else 'the checkpoint'
    try:
        if isinstance(name, Path):
            _check_archive(name)
        with _own_statistics():
            if _release(torch.__version__) >= (2, 6):
                content = torch.load(file, map_location=map_location, weights_only=True)
            else:
                # Earlier releases cannot be told what mmengine's checkpoints hold.
                content = torch.load(file, map_location=map_location, weights_only=False,
                                     pickle_module=_listed_pickle)
        return ordinary(content, HistoryBuffer)
    except (FileNotFoundError, _RefusedArchive):
        raise
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(
            f'refused: {name} holds more than weights, and loading it could run commands: '
            f'{_reason(error)}'
        ) from error
    # There is nothing that torch does not raise on bytes that are no checkpoint.
    except Exception as error:
        raise pickle.UnpicklingError(
            f'{name} cannot be loaded as a checkpoint: {type(error).__name__}: {_reason(error)}'
        ) from error


def _reason(error: Exception) -> str:
    """The first line of an error that does not say how to take the protection off."""
    lines = [line for line in str(error).splitlines() if line and 'weights_only' not in line]
    return lines[0] if lines else 'it is empty, or another kind of file (TorchScript, tar)'


def _torch_attribute(name: str) -> Any:
    """Look up a name of :data:`_protected_torch` that is not its own (PEP 562)."""
    import torch

    return getattr(torch, name)


#: torch as mmengine's checkpoint module sees it: whatever the environment says, ``load`` protects.
_protected_torch = ModuleType('mmseg_lrr.compat.protected_torch')
_protected_torch.__dict__.update(load=load_protected, __getattr__=_torch_attribute)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file; takes the place of mmengine's function of that name.

    Raises:
        FileNotFoundError: There is no such file.
        pickle.UnpicklingError: See :func:`load_protected`.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path} can not be found.')
    return load_protected(path, map_location)


def load_url(url: str, model_dir: str | None = None, map_location: Any = None,
             progress: bool = True, **_: Any) -> Any:
    """Download a checkpoint, unless it is there, and load it.

    Takes the place of ``torch.hub.load_state_dict_from_url``, whose default is to load without
    protection; the file is kept where that keeps it.
    """
    from torch import hub

    folder = Path(model_dir) if model_dir else Path(hub.get_dir()) / 'checkpoints'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(urlparse(url).path).name
    if not path.exists():
        hub.download_url_to_file(url, str(path), None, progress=progress)
    return load_protected(path, map_location)


def keep_protection() -> None:
    """Have mmengine load every checkpoint, whatever its address, by :func:`load_protected`.

    By itself mmengine 0.10 loads downloaded checkpoints without protection (as
    ``torch.hub.load_state_dict_from_url`` does by default), and with a torch before 2.6 all of
    them. The fork onedl-mmengine 0.10.12 lists the real ``getattr`` while it loads a checkpoint,
    and loads the file again without protection where that fails.
    """
    from mmengine.runner import checkpoint

    # What the loaders of all other addresses call.
    checkpoint.torch = _protected_torch
    checkpoint.load_url = load_url
    checkpoint.CheckpointLoader.register_scheme('', load_from_local, force=True)
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = load_protected


def add_package_name() -> None:
    """Tell mmengine which distribution the module ``mmseg_lrr`` comes from.

    ``mmengine.hub.get_config('mmseg_lrr::…')`` knows the toolbox's own modules only.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE.setdefault('mmseg_lrr', 'mmseg-lrr')


def prepare() -> None:
    """Make the stack ready; called once, when ``mmseg_lrr`` is imported.

    Raises:
        UnsupportedStackError: See :func:`check_versions` and :func:`import_toolbox_models`.
    """
    check_versions()
    provide_missing_ops()
    import_toolbox_models()
    allow_checkpoints()
    keep_protection()
    add_package_name()
