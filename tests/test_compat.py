# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The stack's traps: versions, absent compiled operators, protected checkpoints."""

import importlib.util
import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import load_checkpoint
from packaging.version import Version

from mmseg_lrr import compat

needs_protection = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.6'), reason='torch before 2.6 does not protect')
needs_stand_in = pytest.mark.skipif(
    not any(isinstance(finder, compat._MissingOps) for finder in sys.meta_path),
    reason='this mmcv has its compiled operators')


@pytest.mark.parametrize('package, version, supported', [
    ('torch', '2.4.0', True), ('torch', '2.14.1+cpu', True), ('torch', '2.5.0a0+git1234', True),
    ('mmseg', '1.4.2', True), ('torch', '1.13.1', False), ('torch', '3.0.0', False),
    ('mmcv', '1.7.2', False), ('mmcv', '2.4.0', False), ('mmengine', '0.9.1', False),
])
def test_versions(monkeypatch: pytest.MonkeyPatch, package: str, version: str,
                  supported: bool) -> None:
    module = ModuleType('fake')
    module.__version__ = version
    monkeypatch.setitem(sys.modules, 'fake', module)
    wanted = {'fake': compat.SUPPORTED[package]}
    if supported:
        compat.check_versions(wanted)
    else:
        with pytest.raises(compat.UnsupportedStackError, match=rf'>= .*{version}.*\[cpu\]'):
            compat.check_versions(wanted)


@pytest.mark.parametrize('source, message', [
    (None, "needs wanted >= 1, < 2, but 'fake' cannot be imported: No module named 'fake'"),
    ("assert False, 'MMCV==2.2.0 is incompatible.'", 'MMCV==2.2.0 is incompatible'),
])
def test_packages_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          source: str | None, message: str) -> None:
    if source:
        (tmp_path / 'fake.py').write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(compat.UnsupportedStackError, match=message):
        compat.check_versions({'fake': ('wanted', '1', '2')})


@needs_stand_in
def test_missing_operators_raise_when_they_are_called() -> None:
    from mmcv.ops import CrissCrossAttention, nms
    from mmcv.utils import collect_env
    from mmcv.utils.ext_loader import check_ops_exist

    assert check_ops_exist() and CrissCrossAttention(8) is not None
    with pytest.raises(NotImplementedError, match="'nms'.*mmcv-lite"):
        nms(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), 0.5)
    assert collect_env()['MMCV Compiler'] == 'n/a'


def test_compiled_operators_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mmcv

    (tmp_path / '_ext.py').write_text('compiled = True')
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [*sys.meta_path, compat._MissingOps()])
    assert importlib.util.find_spec('mmcv._ext').origin == str(tmp_path / '_ext.py')
    before = list(sys.meta_path)
    compat.provide_missing_ops()
    assert sys.meta_path == before


@needs_protection
@pytest.mark.parametrize('spelling', ['numpy.core', 'numpy._core'])
def test_logged_numbers_load_protected(tmp_path: Path, spelling: str) -> None:
    """All kinds of them, spelled by any NumPy."""
    hub = MessageHub('compat')
    hub.update_scalars(dict(loss=1.))
    values = {code: np.dtype(code).type(1)
              for code in np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?'
              if code not in 'pP'}
    for code, value in values.items():
        hub.update_info(code, value)
        hub.update_info(f'array_{code}', np.array([value, value]))
    hub.update_info('text', np.array(['sky', 'road']))
    torch.save({'message_hub': hub.state_dict()}, tmp_path / 'here.pth')
    here = np.zeros(0).__reduce__()[0].__module__.removesuffix('.multiarray')
    with zipfile.ZipFile(tmp_path / 'here.pth') as read, \
            zipfile.ZipFile(tmp_path / 'there.pth', 'w') as write:
        for item in read.infolist():
            write.writestr(item.filename, read.read(item).replace(
                f'c{here}.'.encode(), f'c{spelling}.'.encode()))

    loaded = torch.load(tmp_path / 'there.pth')['message_hub']
    assert loaded['log_scalars']['loss'].statistics('mean') == 1
    for code, value in values.items():
        assert loaded['runtime_info'][code] == value
        assert loaded['runtime_info'][f'array_{code}'].dtype == np.dtype(code)
    assert loaded['runtime_info']['text'].tolist() == ['sky', 'road']


class Call:
    """Pickles as a call of a function."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]


@needs_protection
@pytest.mark.parametrize('call', [
    (os.system, 'false'), (getattr, torch.Tensor, 'apply_'), (getattr, HistoryBuffer, 'update')])
def test_checkpoints_that_run_something_are_refused(tmp_path: Path, call: tuple) -> None:
    torch.save({'state_dict': {}, 'meta': Call(*call)}, tmp_path / 'x.pth')
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        load_checkpoint(torch.nn.Module(), str(tmp_path / 'x.pth'))


def test_package_name_is_known_to_mmengine() -> None:
    assert MODULE2PACKAGE['mmseg_lrr'] == 'mmseg-lrr'
