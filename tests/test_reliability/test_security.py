# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files of somebody else: they run nothing, fill no memory, and reach no other file."""

from __future__ import annotations

import ast
import functools
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.datasets import BaseCDDataset, BaseSegDataset
from mmseg.registry import DATASETS, HOOKS
from scipy.io import savemat

from mmseg_lrr import compat
from mmseg_lrr.converters import mat_allowance
from mmseg_lrr.converters.mat_file import read_mat
from mmseg_lrr.converters.mat_values import MatFileError
from mmseg_lrr.datasets import LabelMaps
from mmseg_lrr.datasets.class_bases import load_class_bases
from mmseg_lrr.models.losses import LevelCrossEntropyLoss
from mmseg_lrr.reporting.examples import ExampleMaker
from mmseg_lrr.reporting.tune_crf import tune_crf

from ..small_segmentors import build, lrr_config
from ..test_apis.small_project import make_project
from ..test_converters.released_layout import Cell, Struct, write_v7
from ..test_engine.small_test import make_images, make_runner


class Hostile:
    """Pickles as a call of any function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


HOSTILE = {
    'a command': lambda mark: Hostile(os.system, f'touch {mark}'),
    'eval': lambda mark: Hostile(eval, f'open({str(mark)!r}, "w")'),
    'exec': lambda mark: Hostile(exec, f'open({str(mark)!r}, "w")'),
    'a file removed': lambda mark: Hostile(os.replace, str(mark) + '.not there', str(mark)),
    'getattr': lambda mark: Hostile(getattr, torch.Tensor, 'apply_'),
    'deep in a dict': lambda mark: {'a': [{'b': (Hostile(os.system, f'touch {mark}'), )}]},
}


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A file that must not be there in the end."""
    path = tmp_path / 'mark'
    yield path
    assert not path.exists()


# ------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('kind', HOSTILE)
def test_hostile_checkpoint_is_refused(tmp_path: Path, mark: Path, kind: str, zipped: bool) -> None:
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': {}, 'meta': HOSTILE[kind](mark)}, path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match='refused: .*hostile.pth .*could run commands'):
        load_checkpoint(build(lrr_config()), str(path))
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        compat.load_protected(io.BytesIO(path.read_bytes()))


def test_the_refusal_names_the_culprit_and_no_way_round(tmp_path: Path, mark: Path) -> None:
    torch.save(HOSTILE['a command'](mark), tmp_path / 'hostile.pth')
    with pytest.raises(pickle.UnpicklingError) as raised:
        compat.load_protected(tmp_path / 'hostile.pth')
    assert 'weights_only' not in str(raised.value)
    assert 'system' in str(raised.value)


def test_a_setting_of_the_environment_does_not_take_it_off(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(HOSTILE['a command'](mark), tmp_path / 'hostile.pth')
    monkeypatch.setattr(torch.serialization, '_default_to_weights_only', lambda module: False,
                        raising=False)
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))


@pytest.mark.parametrize('forced', [False, True])
@pytest.mark.parametrize('address', ['s3://bucket/hostile.pth', 'petrel://bucket/hostile.pth',
                                     'open-mmlab://hostile', 'openmmlab://hostile'])
def test_other_addresses_are_protected(tmp_path: Path, mark: Path, address: str, forced: bool,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    if forced:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save(HOSTILE['a command'](mark), tmp_path / 'hostile.pth')
    (tmp_path / 'open_mmlab.json').write_text('{"hostile": "hostile.pth"}')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    # In the place of a store's client.
    stored = SimpleNamespace(get=lambda _: (tmp_path / 'hostile.pth').read_bytes())
    monkeypatch.setattr(mmengine_checkpoint, 'get_file_backend', lambda *_, **__: stored)
    with pytest.raises(pickle.UnpicklingError, match='refused: .* could run commands') as raised:
        CheckpointLoader.load_checkpoint(address, map_location='cpu')
    assert 'weights_only' not in str(raised.value)


def damaged(path: Path, kind: str) -> None:
    if kind == 'TorchScript':
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(path))
        return
    torch.save({'weight': torch.zeros(1000)}, path,
               _use_new_zipfile_serialization='old' not in kind)
    content = path.read_bytes()
    path.write_bytes({'empty': b'', 'half': content[:len(content) // 2],
                      'old, half': content[:len(content) // 2], 'four bytes': content[:4],
                      'tail': content[len(content) // 2:], 'tar': tar_of_pickles()}[kind])


def tar_of_pickles() -> bytes:
    """As torch 0.1 wrote them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for name in ('sys_info', 'pickle', 'storages', 'tensors'):
            info = tarfile.TarInfo(name)
            info.size = len(pickle.dumps({}))
            tar.addfile(info, io.BytesIO(pickle.dumps({})))
    return buffer.getvalue()


@pytest.mark.parametrize('kind', ['empty', 'half', 'old, half', 'four bytes', 'tail', 'tar',
                                  'TorchScript'])
def test_damaged_checkpoint_is_named(tmp_path: Path, kind: str) -> None:
    damaged(tmp_path / 'damaged.pth', kind)
    with pytest.raises(pickle.UnpicklingError, match=r'damaged\.pth ') as raised:
        CheckpointLoader.load_checkpoint(str(tmp_path / 'damaged.pth'))
    assert 'weights_only' not in str(raised.value)


def checkpoint() -> dict:
    """What mmengine's checkpoints hold."""
    history = HistoryBuffer([1., 2.], [1, 1])
    return {
        'state_dict': OrderedDict(weight=torch.arange(6.).view(2, 3), count=torch.tensor(3),
                                  half=torch.ones(2, dtype=torch.bfloat16)),
        'meta': {'epoch': 1, 'classes': ('a', 'b'), 'time': 'now'},
        'message_hub': {'log_scalars': {'loss': history}, 'value': np.float64(.5),
                        'random': np.arange(4, dtype=np.uint32)}}


def assert_loaded(content: dict) -> None:
    assert torch.equal(content['state_dict']['weight'], torch.arange(6.).view(2, 3))
    assert content['meta']['classes'] == ('a', 'b')
    assert content['message_hub']['log_scalars']['loss'].statistics('mean') == 1.5
    assert content['message_hub']['value'] == .5
    assert content['message_hub']['random'].tolist() == [0, 1, 2, 3]


class Built(Hostile):
    """Pickles as a call of any function, whose result is then given any state."""

    def __init__(self, function: object, arguments: tuple, state: object) -> None:
        self.call = function, arguments, state


RECONSTRUCT, SCALAR = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]


def dtype(code: str, size: int = -1, align: int = -1, flags: int = 0, order: str = '|',
          fields: object = None) -> Built:
    return Built(np.dtype, (code, False, True), (3, order, fields, None, None, size, align, flags))


def array(dtype: object, shape: tuple = (8, ), data: object = b'A' * 64, **given: object) -> Built:
    return Built(RECONSTRUCT, (np.ndarray, given.get('start', (0, )), given.get('code', b'b')),
                 (given.get('version', 1), shape, dtype, False, data))


#: Each reads memory that is not its own, or is an array that no checkpoint holds.
HOSTILE_ARRAYS = {
    'pointers': lambda: Hostile(np.ndarray, (8, ), 'O', b'A' * 64),
    'a view': lambda: Hostile(np.ndarray, (8, ), 'f8', b'A' * 64, 0, (-8, )),
    'objects': lambda: np.array([None], object),
    'a scalar of objects': lambda: Hostile(SCALAR, np.dtype('O'), b'A' * 8),
    'a scalar of a negative size': lambda: Hostile(SCALAR, dtype('S4', -5, 1), b'A' * 64),
    'a scalar of another size': lambda: Hostile(SCALAR, np.dtype('f8'), b'A' * 7),
    'a scalar without data': lambda: Hostile(SCALAR, np.dtype('f8')),
    'a negative size': lambda: array(dtype('S4', -5, 1), data=b''),
    'another size': lambda: array(dtype('S4', 8, 1)),
    'flags of objects': lambda: array(dtype('f8', flags=1, order='<')),
    'flags of lists': lambda: array(dtype('f8', flags=2, order='<'), data=[None] * 8),
    'an order of bytes': lambda: array(dtype('f8', order='q')),
    'fields': lambda: array(np.zeros(8, [('a', 'f8')]).dtype),
    'a part of another dtype': lambda: array(dtype('S8', 8, 1, fields=('f8', (2, )))),
    'dates': lambda: np.zeros(1, 'datetime64[s]'),
    'no bytes': lambda: array(dtype('S0', 0, 1), (10**12, ), b''),
    'too few bytes': lambda: array(np.dtype('f8'), (9, )),
    'a negative shape': lambda: array(np.dtype('f8'), (-2, -4)),
    'another version': lambda: array(np.dtype('f8'), version=2),
    'a shape beforehand': lambda: array(np.dtype('f8'), start=(2**20, )),
    'objects beforehand': lambda: array(np.dtype('f8'), code='O'),
    'a second state': lambda: Built(
        RECONSTRUCT, (array(np.dtype('f8')), ), (1, (1, ), np.dtype('f8'), False, bytes(8))),
}


@pytest.mark.parametrize('version', ['2.5.1', torch.__version__])
@pytest.mark.parametrize('kind', HOSTILE_ARRAYS)
def test_hostile_array_is_refused(
    tmp_path: Path, kind: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({'meta': HOSTILE_ARRAYS[kind]()}, tmp_path / 'hostile.pth')
    monkeypatch.setattr(torch, '__version__', version)
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))


@pytest.mark.parametrize('version', ['2.5.1', torch.__version__])
def test_arrays_of_a_checkpoint_are_numpys_own(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [np.arange(6, dtype=code).reshape(2, 3) for code in ('i1', '>i4', 'u8', 'f2', 'c16')]
    values += [np.array(['sky', 'road']), np.array([b'a', b'bc']), np.array([True, False]),
               np.asfortranarray(values[0]), np.float64(.5), np.bool_(True), np.str_('sky'),
               np.array(1.5), np.dtype('>f4')]
    shared = values[0]
    history = HistoryBuffer([1., 2.], [1, 1])
    torch.save({'list': values, 'tuple': (shared, {'deep': shared}), 'hub': history},
               tmp_path / 'good.pth')
    monkeypatch.setattr(torch, '__version__', version)
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'good.pth'))
    for found, value in zip(content['list'], values, strict=True):
        assert type(found) is type(value)
        if isinstance(value, np.dtype):
            assert found == value
        else:
            # NumPy's own reading turns the bytes round.
            assert found.dtype == value.dtype.newbyteorder('=') and found.shape == value.shape
            assert np.array_equal(found, value)
    assert content['tuple'][0] is content['tuple'][1]['deep'] is content['list'][0]
    assert [type(data) for data in content['hub'].data] == [np.ndarray, np.ndarray]


@pytest.mark.parametrize('version', ['2.5.1', torch.__version__])
def test_a_checkpoint_changes_no_statistics_of_other_buffers(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = HistoryBuffer([1.], [1])
    hostile._statistics_methods = {'mean': torch.Size, 'other': torch.Size}
    torch.save({'hub': hostile}, tmp_path / 'hostile.pth')
    monkeypatch.setattr(torch, '__version__', version)
    CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))
    assert HistoryBuffer([1., 2.], [1, 1]).statistics('mean') == 1.5
    assert 'other' not in HistoryBuffer._statistics_methods


class Test_before_torch_2_6:  # noqa: N801
    """The unpickler for releases that cannot be told what mmengine's checkpoints hold."""

    @pytest.fixture(autouse=True)
    def _older(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch, '__version__', '2.5.1')

    @pytest.mark.parametrize('listed', [HistoryBuffer, torch.Tensor,
                                        torch._utils._rebuild_tensor_v2])
    def test_what_is_listed_is_not_changed(self, listed: object) -> None:
        name = f'c{listed.__module__}\n{listed.__name__}\n'.encode()
        text = b'X\x06\0\0\0update'
        with pytest.raises(pickle.UnpicklingError, match='a state of a .* is not allowed'):
            compat._listed_load(io.BytesIO(b'\x80\x02' + name + b'N}(' + text + name + b'u\x86b.'))
        assert getattr(listed, 'update', None) is not listed

    def test_what_is_no_pickle_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / 'text.pth').write_bytes(b'no image, and no checkpoint')
        with pytest.raises(pickle.UnpicklingError, match=r'refused: .*invalid load key'):
            compat.load_protected(tmp_path / 'text.pth')

    @pytest.mark.parametrize('zipped', [True, False])
    def test_good_checkpoint_loads(self, tmp_path: Path, zipped: bool) -> None:
        torch.save(checkpoint(), tmp_path / 'good.pth', _use_new_zipfile_serialization=zipped)
        assert_loaded(CheckpointLoader.load_checkpoint(str(tmp_path / 'good.pth')))

    @pytest.mark.parametrize('zipped', [True, False])
    @pytest.mark.parametrize('kind', HOSTILE)
    def test_hostile_checkpoint_is_refused(self, tmp_path: Path, mark: Path, kind: str,
                                           zipped: bool) -> None:
        torch.save({'meta': HOSTILE[kind](mark)}, tmp_path / 'hostile.pth',
                   _use_new_zipfile_serialization=zipped)
        with pytest.raises(pickle.UnpicklingError, match='refused'):
            CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))

    @pytest.mark.parametrize('kind', HOSTILE)
    def test_hostile_plain_pickle_is_refused(self, tmp_path: Path, mark: Path, kind: str) -> None:
        """torch reads the head of such a file by ``pickle_module.load``."""
        (tmp_path / 'hostile.pth').write_bytes(pickle.dumps({'meta': HOSTILE[kind](mark)}))
        with pytest.raises(pickle.UnpicklingError, match='refused'):
            CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a server on this machine that gives the files of a folder."""
    folder = tmp_path / 'served'
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_address[1]}'
        server.shutdown()
        thread.join()


def test_downloaded_checkpoint_is_protected(
    tmp_path: Path, mark: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.hub's own loader, which mmengine uses, does not protect by default."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    torch.save(checkpoint(), tmp_path / 'served' / 'good.pth')
    torch.save(HOSTILE['a command'](mark), tmp_path / 'served' / 'hostile.pth')
    assert_loaded(CheckpointLoader.load_checkpoint(f'{served}/good.pth', map_location='cpu'))
    assert (tmp_path / 'hub' / 'checkpoints' / 'good.pth').is_file()
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        CheckpointLoader.load_checkpoint(f'{served}/hostile.pth', map_location='cpu')
    # Nor when it is there already.
    with pytest.raises(pickle.UnpicklingError, match='refused'):
        CheckpointLoader.load_checkpoint(f'{served}/hostile.pth', map_location='cpu')


def test_checkpoint_that_unpacks_to_more_than_itself_is_refused(tmp_path: Path) -> None:
    plain, packed = tmp_path / 'plain.pth', tmp_path / 'packed.pth'
    torch.save({'weight': torch.zeros(2**20)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(
            packed, 'w', zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert packed.stat().st_size < 2**20 / 50
    assert compat.load_protected(plain)['weight'].numel() == 2**20
    with pytest.raises(pickle.UnpicklingError, match=r'refused: .*packed\.pth unpacks to \d+'):
        CheckpointLoader.load_checkpoint(str(packed))


def test_absurd_shapes_in_a_checkpoint_do_not_load(tmp_path: Path) -> None:
    """A tensor of 2^40 elements that repeats one: a file of some kilobytes."""
    model = build(lrr_config())
    state = model.state_dict()
    for name in ('decode_head.reconstructions.32x.bases', 'decode_head.coefficients.8x.weight'):
        state = dict(state)
        state[name] = torch.zeros(1).expand(2**20, 2**20)
        torch.save({'state_dict': state}, tmp_path / 'absurd.pth')
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with pytest.raises(RuntimeError, match=rf'size mismatch for {name}'):
            load_checkpoint(model, str(tmp_path / 'absurd.pth'), strict=True)
        assert torch.equal(model.state_dict()[name], before[name])


def test_absurd_bases_are_not_copied_to_other_levels(tmp_path: Path) -> None:
    """A checkpoint of stage 1, whose bases the finer levels would take over."""
    model = build(lrr_config())
    state = {name: value for name, value in model.state_dict().items()
             if not any(f'.{level}.' in name for level in ('16x', '8x', '4x'))}
    state['decode_head.reconstructions.32x.bases'] = torch.zeros(1).expand(2**20, 2**20)
    with pytest.raises(RuntimeError, match='size mismatch'):
        model.load_state_dict(state)
    assert not model.decode_head.bases_loaded


# ------------------------------------------------------------------------------- other files


@pytest.mark.parametrize('kind', HOSTILE)
def test_hostile_arrays_and_weights_are_refused(tmp_path: Path, mark: Path, kind: str) -> None:
    path = tmp_path / 'bases.npy'
    np.save(path, np.array([HOSTILE[kind](mark)], object), allow_pickle=True)
    with pytest.raises(ValueError, match='allow_pickle'):
        load_class_bases(path, 3, 10)
    with pytest.raises(ValueError, match='allow_pickle'):
        LevelCrossEntropyLoss(class_weight=str(path))
    for suffix in ('.pkl', '.pickle', '.yaml', '.yml'):
        path = tmp_path / f'weights{suffix}'
        path.write_bytes(pickle.dumps(HOSTILE[kind](mark)))
        with pytest.raises(ValueError, match=r'class_weight must be .*\.npy or \.json'):
            LevelCrossEntropyLoss(class_weight=str(path))


def npy_of_header(shape: str, dtype: str = '<f8', last: str = '}') -> bytes:
    """A ``.npy`` file of one byte with a header of its own."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}{last}"
    return b'\x93NUMPY\x01\0' + struct.pack('<H', len(header)) + header.encode() + b'0'


DAMAGED = {
    'empty.npy': b'', 'text.npy': b'these are no numbers', 'cut.npy': npy_of_header('(3, )'),
    'huge.npy': npy_of_header('(1000000, 1000000)'),
    'beyond.npy': npy_of_header(f'({2**70}, )'),
    'archive.npy': b'PK\x03\x04' + bytes(100),
    'open.npy': npy_of_header('((((', last=''), 'unhashable.npy': npy_of_header('{[]: 1}'),
    'keys.npy': npy_of_header('(1, ), 1: 2'), 'boolean.npy': npy_of_header('(True, )'),
}


@pytest.mark.parametrize('name', [*DAMAGED, 'empty.json', 'deep.json', 'bytes.json'])
def test_damaged_arrays_and_weights_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes({**DAMAGED, 'empty.json': b'', 'deep.json': b'[' * 100_000,
                      'bytes.json': b'[\xff]'}[name])
    kind = 'an array in a .npy file' if path.suffix == '.npy' else 'a list in a .json file'
    with pytest.raises(ValueError, match=f'class_weight .*{name} must be {kind}') as raised:
        LevelCrossEntropyLoss(class_weight=str(path))
    assert 'allow_pickle' not in str(raised.value)
    if path.suffix == '.npy':
        with pytest.raises(ValueError, match=f'bases_file .*{name} must be {kind}'):
            load_class_bases(path, 3, 10)


@pytest.mark.parametrize('dtype', ['|S0', '|V0', '<U0'])
def test_arrays_of_many_elements_in_no_bytes_are_refused(tmp_path: Path, dtype: str) -> None:
    (tmp_path / 'none.npy').write_bytes(npy_of_header('(1000000000000, )', dtype))
    with pytest.raises(ValueError, match=r'class_weight .*none\.npy must be .* real numbers'):
        LevelCrossEntropyLoss(class_weight=str(tmp_path / 'none.npy'))


def mat7(path: Path, value: np.ndarray, name: str = 'net') -> Path:
    savemat(path, {name: value}, do_compression=True)
    return path


def test_matlab_bomb_is_refused(tmp_path: Path) -> None:
    """72 MB of zeros in 70 kB."""
    path = mat7(tmp_path / 'bomb.mat', np.zeros((2**13, 1100)))
    assert path.stat().st_size < 2**18
    with pytest.raises(MatFileError, match=r'bomb\.mat: a variable of \d+ bytes unpacks to more'):
        read_mat(path, ['net'])


def test_matlab_files_that_pack_well_are_read(tmp_path: Path) -> None:
    """Label maps do."""
    path = mat7(tmp_path / 'labels.mat', np.zeros((2000, 2000), np.uint8))
    assert path.stat().st_size < 2000 * 2000 / 100
    assert read_mat(path, ['net'])['net'].shape == (2000, 2000)


def element(code: int, data: bytes) -> bytes:
    """Data with their tag, as version 7 has them."""
    return struct.pack('<II', code, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape: tuple[int, ...], name: bytes, data: bytes) -> bytes:
    """An array with its tag."""
    return element(14, element(6, struct.pack('<II', kind, 0))
                   + element(5, struct.pack(f'<{len(shape)}i', *shape))
                   + element(1, name) + data)


def mat7_of(path: Path, variable: bytes, length: int | None = None) -> Path:
    """A file of one variable, compressed where the length that it is said to have is given."""
    if length is not None:
        data = zlib.compress(variable)
        variable = struct.pack('<II', 15, length or len(data)) + data
    header = b'MATLAB 5.0 MAT-file'.ljust(124) + struct.pack('<H', 0x0100) + b'IM'
    path.write_bytes(header + variable)
    return path


@pytest.mark.parametrize('kind', ['cell', 'numbers'])
def test_matlab_file_of_an_absurd_shape_is_refused(tmp_path: Path, kind: str) -> None:
    """The header says 2^31 - 1 by 2^20; nothing stands behind it."""
    variable = matrix(1 if kind == 'cell' else 6, (2**31 - 1, 2**20), b'net', element(9, bytes(8)))
    for length in (None, 0):
        mat7_of(tmp_path / 'absurd.mat', variable, length)
        with pytest.raises(MatFileError, match=r'absurd\.mat.*(shape|cannot be read)'):
            read_mat(tmp_path / 'absurd.mat', ['net'])


FIELD_X = element(5, struct.pack('<i', 2)) + element(1, b'x\0')
ABSURD_INSIDE = {
    'text': (matrix(4, (20_000_000, 1), b'', element(4, b'')), 'more than 1048576 characters'),
    'one text': (matrix(4, (1, 2**30), b'', element(4, b'')), 'more than 1048576 characters'),
    'rows': (matrix(4, (2**18, 1), b'', element(4, b'')), 'more than 131072 values'),
    'cells': (matrix(1, (2**30, 1), b'', b''), 'more than 131072 values'),
    'structs': (matrix(2, (2**30, 1), b'', FIELD_X), 'more than 131072 values'),
    'structs without fields': (
        matrix(2, (2**30, 1), b'', element(5, struct.pack('<i', 1)) + element(1, b'')),
        'more than 131072 values'),
    'numbers': (matrix(6, (2**30, 1), b'', element(9, b'')), 'more than 4294967296 bytes'),
    'bytes': (matrix(9, (2**30, 1), b'', element(2, b'')), '0 bytes of data'),
    'negative': (matrix(6, (-1, 1), b'', element(9, b'')), 'no shape'),
    'no axes': (matrix(6, (), b'', element(9, b'')), 'no shape'),
    'many axes': (matrix(6, (1, ) * 40, b'', element(9, bytes(8))), '160 bytes of data'),
    'no array': (element(9, bytes(8)), 'type 9 where an array should be'),
    'an unknown class': (matrix(99, (1, 1), b'', element(9, bytes(8))), 'no class of arrays 99'),
    'an unknown type': (matrix(6, (1, 1), b'', element(99, bytes(8))), 'data of type 99'),
    'longer than its place': (struct.pack('<II', 14, 2**20), 'past the one around it'),
}


@pytest.mark.parametrize('kind', ABSURD_INSIDE)
def test_matlab_file_that_is_absurd_inside_is_refused(tmp_path: Path, kind: str) -> None:
    """In a field of a struct, whose own header is in order; a few hundred bytes."""
    inside, message = ABSURD_INSIDE[kind]
    variable = matrix(2, (1, 1), b'net', FIELD_X + inside)
    tracemalloc.start()
    for length in (None, 0):
        with pytest.raises(MatFileError, match=rf'absurd\.mat: .*{message}'):
            read_mat(mat7_of(tmp_path / 'absurd.mat', variable, length), ['net'])
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_matlab_file_whose_inner_length_lies_is_refused(tmp_path: Path) -> None:
    """100 bytes, it says, that unpack to 80 MB."""
    variable = matrix(6, (10_000_000, 1), b'net', element(9, bytes(80_000_000)))
    lying = struct.pack('<II', 14, 100) + variable[8:]
    with pytest.raises(MatFileError, match='past the end of their array'):
        read_mat(mat7_of(tmp_path / 'net.mat', lying, 0), ['net'])
    # Nor are they looked for behind the array.
    whole = matrix(6, (1, 1), b'net', element(9, bytes(8)))
    with pytest.raises(MatFileError, match='does not end where it says'):
        read_mat(mat7_of(tmp_path / 'net.mat', whole + bytes(80_000_000), 0), ['net'])


def test_matlab_file_whose_packed_length_lies_is_refused(tmp_path: Path) -> None:
    variable = matrix(6, (10_000_000, 1), b'net', element(9, bytes(80_000_000)))
    with pytest.raises(MatFileError, match='a variable of 2147483648 bytes goes on past its end'):
        read_mat(mat7_of(tmp_path / 'net.mat', variable, 2**31), ['net'])


@pytest.mark.parametrize('depth', [33, 3000, 20000])
def test_matlab_file_that_is_nested_too_deep_is_refused(tmp_path: Path, depth: int) -> None:
    header = element(6, struct.pack('<II', 1, 0)) + element(5, struct.pack('<ii', 1, 1))
    inside = matrix(6, (1, 1), b'', element(9, bytes(8)))
    # From the inside out each is as much longer as its own tag, header and empty name are.
    step = 8 + len(header) + 8
    tags = [struct.pack('<II', 14, len(inside) + step * (level + 1) - 8) + header + element(1, b'')
            for level in reversed(range(depth))]
    variable = matrix(1, (1, 1), b'net', b''.join(tags) + inside)
    for length in (None, 0):
        with pytest.raises(MatFileError, match='nested more than 32 deep'):
            read_mat(mat7_of(tmp_path / 'deep.mat', variable, length), ['net'])


@pytest.mark.parametrize('packed', [False, True])
def test_matlab_file_with_any_wrong_byte_is_read_or_refused(tmp_path: Path, packed: bool) -> None:
    params = Struct([{'name': 'a', 'value': np.zeros((2, 3), np.float32)}])
    net = Struct([{'params': params, 'layers': Cell(['x', np.zeros((1, 2)), True]), 's': 'abc'}])
    path = write_v7(tmp_path / 'net.mat', {'net': net}, compress=packed)
    whole = path.read_bytes()
    refused = 0
    for place in range(124, len(whole)):
        for value in {0, 1, 255, whole[place] ^ 4} - {whole[place]}:
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1:])
            try:
                read_mat(path, ['net'])
            except MatFileError as error:
                assert str(error).startswith(f'{path}: ') or 'holds none' in str(error)
                refused += 1
    assert refused > len(whole) / 2


def test_version_73_file_of_an_absurd_shape_is_refused(tmp_path: Path) -> None:
    """8 TB of nothing: HDF5 writes no chunk that is not filled."""
    path = tmp_path / 'absurd.mat'
    with h5py.File(path, 'w') as file:
        data = file.create_dataset('net', (2**20, 2**20), 'f8', chunks=(64, 64))
        data.attrs['MATLAB_class'] = np.bytes_('double')
        data = file.create_dataset('empty', (2, ), 'u8')
        data[:] = 2**20
        data.attrs['MATLAB_class'] = np.bytes_('double')
        data.attrs['MATLAB_empty'] = 1
    assert path.stat().st_size < 2**14
    with pytest.raises(MatFileError, match=r'/net, of shape \(1048576, 1048576\)'):
        read_mat(path, ['net'])
    with pytest.raises(MatFileError, match='/empty is called empty, but of shape'):
        read_mat(path, ['empty'])


def test_version_73_file_of_many_large_arrays_is_refused(tmp_path: Path) -> None:
    """One array, small enough by itself, a thousand times."""
    path = tmp_path / 'many.mat'
    with h5py.File(path, 'w') as file:
        data = file.create_dataset('one', (2**10, 2**8), 'f4', chunks=(64, 64))
        data.attrs['MATLAB_class'] = np.bytes_('single')
        cells = file.create_dataset('net', (1000, ), h5py.ref_dtype)
        cells[:] = [data.ref] * 1000
        cells.attrs['MATLAB_class'] = np.bytes_('cell')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mat_allowance, 'MAX_BYTES', 2**22)
        with pytest.raises(MatFileError, match='/one, of shape .* more than 4194304 bytes'):
            read_mat(path, ['net'])


def hdf5_of_another_file(path: Path, kind: str) -> Path:
    secret = path.with_name('secret.h5')
    with h5py.File(secret, 'w') as file:
        file['secret'] = np.arange(40, dtype='u1')
    with h5py.File(path, 'w') as file:
        if kind == 'external':
            data = file.create_dataset('net', (40, ), 'u1', external=[(str(secret), 0, 40)])
        else:
            layout = h5py.VirtualLayout((40, ), 'u1')
            layout[:] = h5py.VirtualSource(str(secret), 'secret', shape=(40, ))
            data = file.create_virtual_dataset('net', layout)
        data.attrs['MATLAB_class'] = np.bytes_('uint8')
    return path


@pytest.mark.parametrize('kind', ['external', 'virtual'])
def test_version_73_file_reads_no_other_file(tmp_path: Path, kind: str) -> None:
    path = hdf5_of_another_file(tmp_path / 'net.mat', kind)
    with pytest.raises(MatFileError, match=r'net\.mat: the data of /net lie in another file'):
        read_mat(path, ['net'])


@pytest.mark.parametrize(('kind', 'shape', 'dtype', 'message'), [
    ('char', (1, 2**25), 'u2', 'has more than 1048576 characters'),
    ('char', (2**18, 1), 'f4', 'holds float32, no characters'),
    ('char', (1, 2**18), 'u2', 'more than 131072 values'),
    ('uint8', (2**28, ), 'u1', 'unpacks from 0 bytes to 268435456'),
    ('cell', (10, ), h5py.string_dtype(), 'neither numbers nor references'),
])
def test_version_73_file_of_what_no_network_has_is_refused(
    tmp_path: Path, kind: str, shape: tuple[int, ...], dtype: object, message: str
) -> None:
    path = tmp_path / 'net.mat'
    with h5py.File(path, 'w') as file:
        data = file.create_dataset('net', shape, dtype, chunks=True)
        data.attrs['MATLAB_class'] = np.bytes_(kind)
    with pytest.raises(MatFileError, match=rf'net\.mat: /net.*{message}'):
        read_mat(path, ['net'])


def test_version_73_file_of_a_type_in_the_place_of_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'net.mat'
    with h5py.File(path, 'w') as file:
        file['net'] = np.dtype('f8')
        file['net'].attrs['MATLAB_class'] = np.bytes_('double')
    with pytest.raises(MatFileError, match=r'net\.mat: /net is neither a group nor a data set'):
        read_mat(path, ['net'])


@pytest.mark.parametrize('kind', ['cell', 'double', 'char', 'empty'])
def test_version_73_file_of_a_value_without_axes_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / 'net.mat'
    with h5py.File(path, 'w') as file:
        if kind == 'cell':
            data = file.create_dataset('net', (), h5py.ref_dtype)
            data[()] = data.ref
        else:
            data = file.create_dataset('net', data=np.uint16(3))
        data.attrs['MATLAB_class'] = np.bytes_('double' if kind == 'empty' else kind)
        data.attrs['MATLAB_empty'] = int(kind == 'empty')
    with pytest.raises(MatFileError, match=r'net\.mat: /net (has no axes|holds .*no characters)'):
        read_mat(path, ['net'])


def test_version_73_file_whose_chunks_have_other_axes_is_refused(tmp_path: Path) -> None:
    """One wrong byte, the number of axes of an array: its two axes come to be one."""
    path = tmp_path / 'net.mat'
    with h5py.File(path, 'w') as file:
        data = file.create_dataset('net', (2, 3), 'f4', chunks=(1, 3))
        data[:] = 1
        data.attrs['MATLAB_class'] = np.bytes_('single')
    content = path.read_bytes()
    # The message of the shape: version 1, axes, that there are most sizes, reserved, the sizes.
    shape = struct.pack('<BBBxxxxxQQ', 1, 2, 1, 2, 3)
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, shape[:1] + b'\x01' + shape[2:]))
    with pytest.raises(MatFileError, match=r'net\.mat: /net, of shape \(2,\), .* shape \(1, 3\)'):
        read_mat(path, ['net'])


def test_version_73_file_of_cells_in_circles_is_refused(tmp_path: Path) -> None:
    """Twenty cells that all hold the twenty others, to any depth."""
    path = tmp_path / 'net.mat'
    with h5py.File(path, 'w') as file:
        cells = file.create_dataset('net', (20, ), h5py.ref_dtype)
        cells.attrs['MATLAB_class'] = np.bytes_('cell')
        cells[:] = [cells.ref] * 20
    with pytest.raises(MatFileError, match='nested|more than 131072 values'):
        read_mat(path, ['net'])


# ------------------------------------------------------------------------------- lists

ESCAPES = ['../outside', '../../etc/passwd', '/etc/passwd', 'a/../../outside', 'a/../../../../x',
           '../JPEGImages2/a']


@pytest.mark.parametrize('kind', ['CamVidDataset', 'ShapesDataset'])
@pytest.mark.parametrize('name', ESCAPES)
def test_lists_cannot_leave_the_folders(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / 'list.txt').write_text(f'a\n{name}\n')
    with pytest.raises(ValueError, match=r'list\.txt lists .*, which is outside of the folder'):
        DATASETS.build(dict(type=kind, data_root=str(tmp_path), ann_file='list.txt', pipeline=[]))


@pytest.mark.parametrize('name', ['a', 'sub/a', 'sub/../a', 'a..b', './a'])
def test_names_inside_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / 'list.txt').write_text(name)
    dataset = DATASETS.build(dict(
        type='CamVidDataset', data_root=str(tmp_path), ann_file='list.txt', pipeline=[]))
    assert dataset.get_data_info(0)['img_path'].endswith(f'JPEGImages/{name}.jpg')


@pytest.mark.parametrize('link', [True, False])
def test_a_data_root_may_be_a_link(tmp_path: Path, link: bool) -> None:
    (tmp_path / 'real').mkdir()
    root = tmp_path / 'real'
    if link:
        root = tmp_path / 'link'
        root.symlink_to(tmp_path / 'real')
    (root / 'list.txt').write_text('a')
    assert len(DATASETS.build(dict(
        type='CamVidDataset', data_root=str(root), ann_file='list.txt', pipeline=[]))) == 1


class Loaders:
    """In the place of a runner."""

    def __init__(self, dataset: object) -> None:
        class Loader:
            pass

        loader = Loader()
        loader.dataset = dataset
        self.train_dataloader = self.val_dataloader = self.test_dataloader = loader


@pytest.mark.parametrize('when', ['before_train', 'before_val', 'before_test'])
@pytest.mark.parametrize('name', ESCAPES)
def test_the_toolbox_data_sets_are_watched(tmp_path: Path, name: str, when: str) -> None:
    (tmp_path / 'list.txt').write_text(f'a\n{name}\n')
    dataset = BaseSegDataset(
        data_root=str(tmp_path), ann_file='list.txt', pipeline=[],
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))
    wrapped = torch.utils.data.ConcatDataset([dataset])
    for one in (dataset, wrapped):
        with pytest.raises(ValueError, match=r'list\.txt.* lists .*outside of the folder'):
            getattr(HOOKS.build(dict(type='DataListHook')), when)(Loaders(one))


@pytest.mark.parametrize('second', ['img_path2', 'seg_map_path'])
def test_every_folder_of_a_data_set_of_pairs_is_watched(tmp_path: Path, second: str) -> None:
    """The names are fine for the first folder: the second's suffix leads out."""
    (tmp_path / 'list.txt').write_text('a\n')
    suffixes = {'img_path2': 'img_suffix2', 'seg_map_path': 'seg_map_suffix'}
    options = {suffixes[second]: '/../../../outside.png'}
    prefix = dict(img_path='A', img_path2='B', seg_map_path='C')
    dataset = BaseCDDataset(data_root=str(tmp_path), ann_file='list.txt', pipeline=[],
                            data_prefix=prefix, **options)
    with pytest.raises(ValueError, match=r'list\.txt.* lists .*outside\.png, .* outside of'):
        HOOKS.build(dict(type='DataListHook')).before_test(Loaders(dataset))


@pytest.mark.parametrize('use', ['bases', 'pictures', 'crf'])
def test_tools_read_nothing_outside(tmp_path: Path, use: str) -> None:
    """They build data sets of their own."""
    make_project(tmp_path, 1)
    cv2.imwrite(str(tmp_path / 'outside.png'), np.zeros((50, 70, 3), np.uint8))
    (tmp_path / 'data' / 'list.txt').write_text('0\n../../outside\n')
    cfg = Config.fromfile(tmp_path / 'config.py')
    cfg.test_dataloader.dataset.ann_file = 'list.txt'
    weights = str(tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=r'outside\.png, which is outside of the folder'):
        if use == 'bases':
            LabelMaps(DATASETS.build(cfg.test_dataloader.dataset))
        elif use == 'pictures':
            ExampleMaker(cfg, weights, multi_scale=False).test_set()
        else:
            tune_crf(cfg, weights)


def test_a_test_reads_nothing_outside(tmp_path: Path) -> None:
    """The hook in a runner, as the configs have it."""
    images = make_images(tmp_path / 'data', 1)
    cv2.imwrite(str(tmp_path / 'outside.png'), np.zeros((40, 60, 3), np.uint8))
    (images / 'list.txt').write_text('0\n../../outside\n')
    runner, recorder = make_runner(build(lrr_config()), images, tmp_path / 'work')
    dataset = runner._test_dataloader['dataset']
    dataset['ann_file'] = 'list.txt'
    runner.register_hook(HOOKS.build(dict(type='DataListHook')))
    with pytest.raises(ValueError, match=r'outside\.png, which is outside of the folder'):
        runner.test()
    assert not recorder.before


def test_every_config_has_the_hook(repo_root: Path) -> None:
    runtime = (repo_root / 'configs' / 'lrr' / '_base_' / 'default_runtime.py').read_text()
    assert "data_list=dict(type='DataListHook')" in runtime
    for config in (repo_root / 'configs' / 'lrr').glob('*.py'):
        assert 'default_hooks=dict(_delete_' not in config.read_text(), config


# ------------------------------------------------------------------------------- the source

#: Calls that run what they are given, or load pickles as they come.
FORBIDDEN = {'eval', 'exec', 'compile', '__import__', 'pickle.load', 'pickle.loads', 'os.system',
             'os.popen', 'yaml.load', 'yaml.unsafe_load', 'marshal.loads', 'shelve.open',
             'joblib.load'}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_is_evaluated_and_no_protection_taken_off(repo_root: Path) -> None:
    files = sorted([*(repo_root / 'mmseg_lrr').rglob('*.py'), *(repo_root / 'tools').rglob('*.py')])
    assert len(files) > 100
    found = []
    for file in files:
        for name, call in calls(ast.parse(file.read_text())):
            where = f'{file.relative_to(repo_root)}:{call.lineno} {name}'
            if name in FORBIDDEN:
                found.append(where)
            for keyword in call.keywords:
                value = ast.unparse(keyword.value)
                if (keyword.arg, value) in (('shell', 'True'), ('allow_pickle', 'True')):
                    found.append(where)
                if (keyword.arg, value) == ('weights_only', 'False') and not any(
                        other.arg == 'pickle_module' for other in call.keywords):
                    found.append(where)
            if name == 'torch.load' and not any(
                    keyword.arg == 'weights_only' for keyword in call.keywords):
                found.append(where)
    assert found == []


def test_the_search_finds_what_it_is_for() -> None:
    source = 'eval(x)\ntorch.load(a)\nnp.load(a, allow_pickle=True)\nmodel.eval()'
    names = [name for name, _ in calls(ast.parse(source))]
    assert names == ['eval', 'torch.load', 'np.load', 'model.eval']
    assert 'eval' in FORBIDDEN and 'model.eval' not in FORBIDDEN
