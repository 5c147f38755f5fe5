# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import matlab
from scipy.sparse import issparse
from test_converters.released_layout import Cell, Struct, write_v7, write_v73

from mmseg_lrr.converters import mat_file
from mmseg_lrr.converters.mat_file import read_mat, write_mat
from mmseg_lrr.converters.mat_values import MatFileError, StructArray, Unread

# Files that MATLAB itself wrote come with SciPy's own tests, where those are installed.
MATLAB_FILES = Path(matlab.__file__).parent / 'tests' / 'data'
WRITERS = {'v7': write_v7, 'v7.3': write_v73}


@pytest.fixture(params=['v7', 'v7-compressed', 'v7.3', 'v7.3-compressed'])
def write(request, tmp_path):
    """Writes variables to a file of the version; gives its path."""
    version, _, compressed = request.param.partition('-')
    if version == 'v7.3':
        pytest.importorskip('h5py')
    return lambda variables: WRITERS[version](
        tmp_path / 'file.mat', variables, compress=bool(compressed)
    )


def matlab_file(name: str) -> Path:
    path = MATLAB_FILES / name
    if not path.is_file():
        pytest.skip(f"SciPy's test data are not installed: {name}")
    return path


def test_values_come_back_as_plain_data(write):
    cube = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    big = np.arange(3000, dtype=np.float32).reshape(30, 100)
    net = Struct(
        [
            {
                'name': 'first',
                'value': cube,
                'block': Struct([{'pad': np.ones((1, 4)), 'hasBias': True}]),
                'params': Cell(['f', 'b']),
            },
            {'name': '', 'value': big, 'block': Struct([{'pad': 2.0}]), 'params': Cell([])},
        ]
    )
    path = write({'net': net, 'other': np.zeros((1, 1))})
    found = read_mat(path, ['net', 'absent'])
    assert list(found) == ['net']
    first, second = found['net']
    assert isinstance(found['net'], StructArray) and isinstance(first['block'], StructArray)
    assert first['name'] == 'first' and second['name'] == ''
    assert first['params'] == ['f', 'b'] and second['params'] == []
    for value, expected in ((first['value'], cube), (second['value'], big)):
        assert value.dtype == np.float32 and value.shape == expected.shape
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(first['block'][0]['pad'], np.ones((1, 4)))
    np.testing.assert_array_equal(first['block'][0]['hasBias'], [[1]])
    np.testing.assert_array_equal(second['block'][0]['pad'], [[2.0]])


def test_a_struct_array_of_one_and_cells_of_structs(write):
    path = write({'layers': Cell([Struct([{'name': 'conv1_1'}]), Struct([{'name': 'relu1_1'}])])})
    assert read_mat(path, ['layers']) == {'layers': [[{'name': 'conv1_1'}], [{'name': 'relu1_1'}]]}


def test_files_that_lack_the_variables_say_what_they_hold(write):
    path = write({'images': np.ones((2, 2)), 'labels': np.ones((2, 2))})
    with pytest.raises(MatFileError, match=r'none of the variables net.*holds images, labels'):
        read_mat(path, ['net'])


def test_files_cut_short_anywhere_are_refused(write):
    net = {'net': Struct([{'name': f'p{i}', 'value': np.ones((8, 8))} for i in range(4)])}
    path = write(net)
    content = path.read_bytes()
    for length in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(MatFileError, match=r'file\.mat'):
            read_mat(path, ['net'])


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04' + bytes(200), b'net = 1\n' * 100])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / 'file.mat'
    path.write_bytes(content)
    with pytest.raises(MatFileError, match='cannot be read as a MATLAB file'):
        read_mat(path, ['net'])


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.mat'):
        read_mat(tmp_path / 'absent.mat', ['net'])
    # Nor is a name without the ending tried with it.
    write_v7(tmp_path / 'net.mat', {'net': np.ones((1, 1))})
    with pytest.raises(FileNotFoundError):
        read_mat(tmp_path / 'net', ['net'])


def test_missing_h5py_is_named(tmp_path, monkeypatch):
    pytest.importorskip('h5py')
    path = write_v73(tmp_path / 'file.mat', {'net': np.ones((1, 1))})
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match=r'version 7\.3.*pip install h5py'):
        read_mat(path, ['net'])


@pytest.mark.parametrize(
    ('name', 'variable', 'kind'),
    [
        ('testfunc_7.4_GLNX86.mat', 'testfunc', 'function handle'),
        ('testobject_7.4_GLNX86.mat', 'testobject', 'object of class inline'),
        ('testsparse_7.4_GLNX86.mat', 'testsparse', 'sparse array'),
        ('testcomplex_7.4_GLNX86.mat', 'testcomplex', 'complex array'),
    ],
)
def test_what_is_not_data_is_not_read(name, variable, kind):
    value = read_mat(matlab_file(name), [variable])[variable]
    assert isinstance(value, Unread) and value.kind == kind


def test_version_73_objects_and_functions_are_not_read(tmp_path):
    h5py = pytest.importorskip('h5py')
    path = tmp_path / 'file.mat'
    with h5py.File(path, 'w') as file:
        for name in ('function_handle', 'dagnn.DagNN'):
            node = file.create_dataset(name, data=np.zeros((6, 1), np.uint32))
            node.attrs['MATLAB_class'] = np.bytes_(name)
        file.create_group('sparse').attrs['MATLAB_sparse'] = np.uint64(3)
        unnamed = file.create_group('unnamed')
        unnamed.attrs['MATLAB_class'] = np.bytes_('containers.Map')
    found = read_mat(path, ['function_handle', 'dagnn.DagNN', 'sparse', 'unnamed'])
    assert [value.kind for value in found.values()] == [
        'function_handle', 'dagnn.DagNN', 'sparse array', 'object containers.Map'
    ]  # fmt: skip


def test_version_73_links_loops_and_dangling_references_are_refused(tmp_path):
    h5py = pytest.importorskip('h5py')
    path = tmp_path / 'file.mat'
    with h5py.File(path, 'w') as file:
        file['outside'] = h5py.ExternalLink('other.mat', '/net')
        for name in ('loop', 'dangling'):
            cell = file.create_dataset(name, (1, 1), dtype=h5py.ref_dtype)
            cell.attrs['MATLAB_class'] = np.bytes_('cell')
        file['loop'][0, 0] = file['loop'].ref
        uneven = file.create_group('uneven')
        uneven.attrs['MATLAB_class'] = np.bytes_('struct')
        for name, length in (('a', 2), ('b', 3)):
            references = np.full((length, 1), file['loop'].ref, h5py.ref_dtype)
            uneven.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    for name, message in (
        ('outside', 'link to elsewhere'),
        ('loop', 'nested'),
        ('dangling', 'refers to a value that is not in the file'),
        ('uneven', 'nested|different lengths'),
    ):
        with pytest.raises(MatFileError, match=message):
            read_mat(path, [name])


def assert_same(value, reference):
    """Compares a value with what SciPy makes of it."""
    if isinstance(value, Unread):
        known = (matlab.MatlabFunction, matlab.MatlabObject)
        # With mat_dtype SciPy leaves imaginary parts out.
        complex_or_sparse = value.kind == 'complex array' or issparse(reference)
        assert complex_or_sparse or isinstance(reference, known)
    elif isinstance(value, StructArray):
        flat = reference.ravel(order='F')
        assert len(value) == len(flat)
        for element, other in zip(value, flat, strict=True):
            # SciPy gives structs without fields as None.
            names = () if other is None else other.dtype.names
            assert len(element) == len(names)
            for ours, theirs in zip(element.values(), names, strict=True):
                assert_same(ours, other[theirs])
    elif isinstance(value, list) and reference.dtype.hasobject:
        for element, other in zip(value, reference.ravel(order='F'), strict=True):
            assert_same(element, other)
    elif isinstance(value, np.ndarray):
        assert value.dtype == reference.dtype.newbyteorder('=')
        np.testing.assert_array_equal(value, reference)
    else:
        rows = reference.ravel().tolist() or ['']
        assert value == (rows[0] if len(rows) == 1 else rows)


# Those of version 4 have no structs and no cells.
@pytest.mark.parametrize('path', [path for path in sorted(MATLAB_FILES.glob('*.mat')) if not
                                  re.search(r'_4|mat4|_m4|hdf5|corrupted|malformed|/bad_|nasty',
                                            path.as_posix())], ids=lambda path: path.name)
@pytest.mark.filterwarnings('ignore::numpy.exceptions.ComplexWarning')
def test_files_of_matlab_are_what_scipy_makes_of_them(path):
    reference = scipy.io.loadmat(path, mat_dtype=True)
    names = [name for name in reference if not name.startswith('__')]
    found = read_mat(path, names)
    assert set(found) == set(names)
    for name in names:
        assert_same(found[name], reference[name])


def test_blanks_that_matlab_left_out():
    """A text of one character and no bytes."""
    summary = read_mat(matlab_file('nasty_duplicate_fieldnames.mat'), ['Summary'])['Summary']
    assert isinstance(summary, StructArray)


@pytest.mark.parametrize('name', ['corrupted_zlib_checksum', 'corrupted_zlib_data', 'malformed1',
                                  'debigged_m4', 'test_mat4_le_floats'])
def test_damaged_files_of_scipy_are_refused(name):
    with pytest.raises(MatFileError, match=f'{name}.*(cannot be read|datagrid)'):
        read_mat(matlab_file(f'{name}.mat'), ['data', 'x'])


def test_files_of_matlab_itself():
    """Whole doubles, which MATLAB stores as bytes; structs; version 7.3; big-endian floats."""
    matrix = read_mat(matlab_file('testmatrix_7.4_GLNX86.mat'), ['testmatrix'])['testmatrix']
    assert matrix.dtype == np.float64 and matrix.shape == (3, 5)
    structs = read_mat(matlab_file('teststructarr_7.4_GLNX86.mat'), ['teststructarr'])
    assert len(structs['teststructarr']) == 2
    assert structs['teststructarr'][1] == {'one': 'number 1', 'two': 'number 2'}
    empty = read_mat(matlab_file('test_empty_struct.mat'), ['a'])['a']
    assert isinstance(empty, StructArray) and empty == [{}]
    floats = read_mat(matlab_file('big_endian.mat'), ['floats'])['floats']
    assert floats.dtype == np.float32 and floats.tolist() == [[2, 3], [3, 4]]
    pytest.importorskip('h5py')
    line = read_mat(matlab_file('testhdf5_7.4_GLNX86.mat'), ['testdouble'])['testdouble']
    np.testing.assert_allclose(line, np.arange(9)[None] * np.pi / 4)


def test_writing_replaces_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'net.mat'
    write_mat(path, {'net': {'name': 'first'}})
    with pytest.raises(TypeError):
        write_mat(path, {'net': {'name': 'second', 'function': None}})
    assert scipy.io.loadmat(path)['net']['name'][0, 0][0] == 'first'
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writers_temporary_file_has_a_name_that_is_tidied_up(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(mat_file, 'savemat', lambda file, *_, **__: written.append(file.name))
    write_mat(tmp_path / 'net.mat', {})
    assert written == [str(tmp_path / f'.net.mat.{os.getpid()}.part')]
