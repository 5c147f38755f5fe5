# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The stack's traps: versions, absent compiled ops, protected checkpoints."""

import importlib
import importlib.machinery
import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner, checkpoint
from toolbox import IS_FORK
from torch.utils.data import DataLoader

from mmseg_lrr import compat

PROTECTED = compat._release(torch.__version__) >= (2, 6)
needs_protection = pytest.mark.skipif(
    not PROTECTED, reason='torch before 2.6 does not protect torch.load by default'
)


def stand_in_is_used() -> bool:
    return any(isinstance(finder, compat._OpsStandIn) for finder in sys.meta_path)


needs_stand_in = pytest.mark.skipif(
    not stand_in_is_used(), reason='this mmcv has its compiled ops'
)


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# versions


@pytest.fixture
def fake_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make importable modules of a given content; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str) -> str:
        (tmp_path / f'{name}.py').write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return make


def test_versions_of_this_stack_are_supported() -> None:
    found = compat.check_versions()
    assert list(found) == ['torch', 'mmengine', 'mmcv', 'mmseg']
    assert found['torch'] == torch.__version__


@pytest.mark.parametrize(
    ('package', 'version'),
    [
        ('torch', '2.4.0'), ('torch', '2.14.1+cpu'), ('torch', '2.5.0a0+git1234'),
        ('mmcv', '2.1.0'), ('mmcv', '2.2.0'), ('mmcv', '2.3.6'), ('mmengine', '0.10.12'),
        ('mmseg', '1.2.2'), ('mmseg', '1.4.2'),
    ],
)  # fmt: skip
def test_supported_versions_pass(fake_module, package: str, version: str) -> None:
    name = fake_module('lrr_fake_stack', f'__version__ = {version!r}')
    found = compat.check_versions({name: compat.SUPPORTED[package]})
    assert found == {name: version}


@pytest.mark.parametrize(
    ('package', 'version'),
    [
        ('torch', '1.13.1'), ('torch', '3.0.0'), ('mmcv', '1.7.2'), ('mmcv', '2.4.0'),
        ('mmengine', '0.9.1'), ('mmengine', '1.0'), ('mmseg', '0.30.0'), ('mmseg', '1.5.0'),
    ],
)  # fmt: skip
def test_unsupported_version_says_found_supported_and_remedy(
    fake_module, package: str, version: str
) -> None:
    name = fake_module('lrr_fake_stack', f'__version__ = {version!r}')
    distribution, first, beyond = compat.SUPPORTED[package]
    with pytest.raises(compat.UnsupportedStackError) as error:
        compat.check_versions({name: compat.SUPPORTED[package]})
    text = str(error.value)
    assert f'{distribution} {version}' in text
    assert f'{distribution} >= {first}, < {beyond}' in text
    assert '[cpu]' in text and 'existing MMSegmentation set-up' in text


def test_missing_package_says_what_to_install() -> None:
    with pytest.raises(compat.UnsupportedStackError, match=r'no-such-pkg >= 1, < 2.*\[cpu\]'):
        compat.check_versions({'lrr_no_such_module': ('no-such-pkg', '1', '2')})


def test_package_broken_by_another_missing_one_is_not_called_missing(fake_module) -> None:
    name = fake_module('lrr_fake_stack', 'import lrr_no_such_module')
    with pytest.raises(ModuleNotFoundError, match='lrr_no_such_module') as error:
        compat.check_versions({name: ('fake', '1', '2')})
    assert not isinstance(error.value, compat.UnsupportedStackError)


def test_toolbox_refusing_mmcv_is_explained(fake_module) -> None:
    mmcv = fake_module('lrr_fake_mmcv', "__version__ = '2.2.0'")
    toolbox = fake_module('lrr_fake_mmseg', "assert False, 'MMCV==2.2.0 is incompatible.'")
    with pytest.raises(compat.UnsupportedStackError) as error:
        compat.check_versions({mmcv: ('mmcv', '2.0', '2.4'), toolbox: ('mmseg', '1.2', '1.5')})
    assert 'lrr_fake_mmcv 2.2.0' in str(error.value)
    assert 'mmcv >= 2.0, < 2.2' in str(error.value)


def test_unreadable_version_is_named(fake_module) -> None:
    name = fake_module('lrr_fake_stack', "__version__ = 'unknown'")
    with pytest.raises(compat.UnsupportedStackError, match="'unknown'"):
        compat.check_versions({name: ('fake', '1', '2')})


# compiled ops


@needs_stand_in
def test_stand_in_is_a_module_with_a_spec_that_the_probes_accept() -> None:
    from mmcv.utils.ext_loader import check_ops_exist
    from mmengine.utils.dl_utils import mmcv_full_available

    module = importlib.import_module('mmcv._ext')
    assert isinstance(module, ModuleType)
    assert module.__spec__ is not None and module.__spec__.name == 'mmcv._ext'
    # Both probes raise ValueError where a module in sys.modules has no spec.
    assert check_ops_exist() and mmcv_full_available()


@needs_stand_in
def test_op_raises_its_name_when_called_and_not_before() -> None:
    from mmcv.ops import CrissCrossAttention, nms, sigmoid_focal_loss

    assert CrissCrossAttention(8) is not None
    with pytest.raises(NotImplementedError, match="'nms'.*mmcv-lite"):
        nms(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), 0.5)
    with pytest.raises(NotImplementedError, match="'sigmoid_focal_loss_forward'"):
        sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))


@needs_stand_in
def test_environment_report_is_not_broken() -> None:
    from mmcv.utils import collect_env

    report = collect_env()
    assert report['MMCV Compiler'] == report['MMCV CUDA Compiler'] == 'n/a'


@needs_stand_in
def test_module_protocol_names_are_absent_as_in_any_module() -> None:
    module = importlib.import_module('mmcv._ext')
    assert not hasattr(module, '__path__')
    assert hasattr(module, 'deform_conv_forward')


def test_real_ops_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType('mmcv._ext')
    real.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', None)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', real)
    before = [finder for finder in sys.meta_path if not isinstance(finder, compat._OpsStandIn)]
    monkeypatch.setattr(sys, 'meta_path', list(before))
    assert compat.provide_missing_ops() is False
    assert sys.meta_path == before


def test_ops_found_later_win_over_the_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mmcv

    (tmp_path / '_ext.py').write_text('compiled = True')
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [*sys.meta_path, compat._OpsStandIn()])
    spec = importlib.util.find_spec('mmcv._ext')
    assert spec is not None and spec.origin == str(tmp_path / '_ext.py')


@needs_stand_in
def test_stand_in_is_put_in_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [finder for finder in sys.meta_path if not isinstance(finder, compat._OpsStandIn)]
    monkeypatch.setattr(sys, 'meta_path', list(others))
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    assert compat.provide_missing_ops() is True
    assert compat.provide_missing_ops() is False
    assert sys.meta_path[:-1] == others
    assert isinstance(sys.meta_path[-1], compat._OpsStandIn)


@needs_stand_in
@pytest.mark.skipif(IS_FORK, reason='the forks are imported without compiled ops')
def test_toolbox_that_failed_to_import_can_be_imported_afterwards() -> None:
    printed = run_python("""
        try:
            import mmseg.models
        except ModuleNotFoundError as error:
            print('failed:', error.name)
        import mmseg_lrr
        import mmseg.models, mmseg.apis, sys
        print('mmpretrain' in sys.modules)
    """)
    # That mmpretrain is not imported is part of it: it need not be installed.
    assert printed.split()[-3:] == ['failed:', 'mmcv._ext', 'False']


def test_half_registered_toolbox_is_explained() -> None:
    # A class of the toolbox is in the registry, but its module is to be run again: this is what
    # an import that stopped in the middle of a module leaves.
    printed = run_python("""
        import sys
        sys.modules['ftfy'] = None
        try:
            import mmseg_lrr
        except ImportError as error:
            print(error)
        del sys.modules['ftfy']
        for name in [name for name in sys.modules if name.startswith('mmseg.models')]:
            del sys.modules[name]
        try:
            import mmseg_lrr
        except ImportError as error:
            print(type(error).__name__, error)
    """)
    first, second = printed.strip().splitlines()
    assert "the module 'ftfy'" in first and 'pip install ftfy regex' in first
    assert second.startswith('UnsupportedStackError')
    assert 'already registered' in second and 'new process' in second


# checkpoints


class OneWeight(BaseModel):
    """The smallest model a Runner trains."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor, mode: str = 'tensor') -> dict:
        return {'loss': (self.weight * x).mean()}


def make_runner(work_dir: Path, name: str, max_iters: int, **kwargs) -> Runner:
    return Runner(
        OneWeight(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader([{'x': torch.ones(1)}] * 4, batch_size=1),
        train_cfg={'by_epoch': False, 'max_iters': max_iters},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False}},
        default_scope='mmengine',
        experiment_name=name,
        **kwargs,
    )


def test_checkpoint_of_a_runner_loads_protected_and_resumes(tmp_path: Path) -> None:
    make_runner(tmp_path, 'compat_first', 2).train()
    path = tmp_path / 'iter_2.pth'

    content = torch.load(path, weights_only=True) if PROTECTED else torch.load(path)
    losses = content['message_hub']['log_scalars']['train/loss']
    assert isinstance(losses, HistoryBuffer)
    assert losses.data[0] == pytest.approx([1.0, 0.9])
    assert losses.statistics('mean') == pytest.approx(0.95)

    resumed = make_runner(tmp_path, 'compat_second', 4, resume=True)
    resumed.train()
    assert resumed.iter == 4
    straight = make_runner(tmp_path / 'straight', 'compat_third', 4)
    straight.train()
    assert torch.equal(resumed.model.weight, straight.model.weight)


@needs_protection
def test_every_kind_of_number_in_the_message_hub_loads(tmp_path: Path) -> None:
    hub = MessageHub('compat_numbers')
    values = {
        code: np.dtype(code).type(1)
        for code in np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?'
        if code not in 'pP'
    }
    for code, value in values.items():
        hub.update_info(f'scalar_{code}', value)
        hub.update_info(f'array_{code}', np.array([value, value]))
    hub.update_info('text', np.array(['sky', 'road']))
    torch.save({'message_hub': hub.state_dict()}, tmp_path / 'numbers.pth')

    info = torch.load(tmp_path / 'numbers.pth')['message_hub']['runtime_info']
    for code, value in values.items():
        assert info[f'scalar_{code}'] == value
        assert info[f'array_{code}'].dtype == np.dtype(code)
    assert info['text'].tolist() == ['sky', 'road']


def respell(source: Path, target: Path, old: bytes, new: bytes) -> None:
    """Copy a checkpoint, writing one module name of its pickle another way."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, 'w') as write:
        for item in read.infolist():
            data = read.read(item)
            if item.filename.endswith('data.pkl'):
                assert old in data
                data = data.replace(old, new)
            write.writestr(item.filename, data)


@needs_protection
@pytest.mark.parametrize('spelling', [b'cnumpy.core.', b'cnumpy._core.'])
def test_both_spellings_of_numpys_module_load(tmp_path: Path, spelling: bytes) -> None:
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save({'buffer': buffer, 'scalar': np.float64(0.5)}, tmp_path / 'here.pth')
    package = np.ndarray.__reduce__(np.zeros(0))[0].__module__.rpartition('.')[0]
    respell(tmp_path / 'here.pth', tmp_path / 'there.pth', f'c{package}.'.encode(), spelling)

    content = torch.load(tmp_path / 'there.pth')
    assert content['buffer'].data[0].tolist() == [1.0, 2.0]
    assert content['scalar'] == 0.5


class Hostile:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    'system': lambda mark: Hostile(os.system, f'touch {mark}'),
    'eval': lambda mark: Hostile(eval, f'open({str(mark)!r}, "w")'),
    'exec': lambda mark: Hostile(exec, f'open({str(mark)!r}, "w")'),
    'import': lambda mark: Hostile(__import__, 'antigravity'),
    'subprocess': lambda mark: Hostile(subprocess.call, ['touch', str(mark)]),
    'getattr on another class': lambda mark: Hostile(getattr, torch.Tensor, 'apply_'),
    'the constructor': lambda mark: Hostile(getattr, HistoryBuffer, '__init__'),
    'another method': lambda mark: Hostile(getattr, HistoryBuffer, 'update'),
    'an instance': lambda mark: Hostile(getattr, HistoryBuffer([1.0], [1]), 'mean'),
    'a default': lambda mark: Hostile(getattr, HistoryBuffer, 'no_such', np.ndarray),
    'a method called': lambda mark: Hostile(HistoryBuffer.mean, HistoryBuffer([1.0], [1])),
    'objects in an array': lambda mark: np.array([Hostile(os.system, f'touch {mark}')], object),
}


@needs_protection
@pytest.mark.parametrize('kind', HOSTILE)
def test_hostile_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / 'mark'
    torch.save({'state_dict': {}, 'meta': HOSTILE[kind](mark)}, tmp_path / 'hostile.pth')
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))
    assert not mark.exists()


def test_stand_in_for_getattr_gives_the_four_statistics_and_nothing_else() -> None:
    for name in ('min', 'max', 'current', 'mean'):
        assert compat._history_method(HistoryBuffer, name) is getattr(HistoryBuffer, name)
    for owner, name in [(HistoryBuffer, 'statistics'), (os, 'system'), (HistoryBuffer(), 'mean')]:
        with pytest.raises(pickle.UnpicklingError, match='refused'):
            compat._history_method(owner, name)


@needs_protection
def test_real_getattr_and_arrays_are_not_on_the_list() -> None:
    listed = torch.serialization.get_safe_globals()
    assert (compat._history_method, 'builtins.getattr') in listed
    functions = [entry[0] if isinstance(entry, tuple) else entry for entry in listed]
    real = (getattr, eval, exec, np.ndarray, np.dtype, np.zeros(0).__reduce__()[0],
            np.float64(0).__reduce__()[0], type(np.dtype('U1')))
    assert not any(function in real for function in functions)


@needs_protection
def test_loader_that_takes_the_protection_off_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unprotected(file, map_location=None):
        return torch.load(file, map_location=map_location, weights_only=False)

    monkeypatch.setattr(checkpoint, '_safe_torch_load', unprotected, raising=False)
    compat.keep_protection()
    torch.save({'weight': torch.ones(1)}, tmp_path / 'good.pth')
    torch.save(HOSTILE['system'](tmp_path / 'mark'), tmp_path / 'hostile.pth')
    assert checkpoint._safe_torch_load(tmp_path / 'good.pth', 'cpu')['weight'] == 1
    with pytest.raises(pickle.UnpicklingError):
        checkpoint._safe_torch_load(tmp_path / 'hostile.pth')
    assert not (tmp_path / 'mark').exists()


def test_package_name_is_known_to_mmengine() -> None:
    assert MODULE2PACKAGE['mmseg_lrr'] == 'mmseg-lrr'
