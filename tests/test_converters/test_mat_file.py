# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import matlab
from test_converters.released_layout import write_v7, write_v73

from mmseg_lrr.converters.mat_file import read_mat, write_mat

# Files that MATLAB itself wrote come with SciPy's own tests, where those are installed.
MATLAB_FILES = Path(matlab.__file__).parent / 'tests' / 'data'


@pytest.mark.parametrize('compress', [False, True])
@pytest.mark.parametrize('write', [write_v7, write_v73])
def test_values_come_back_as_plain_data(tmp_path, write, compress):
    if write is write_v73:
        pytest.importorskip('h5py')
    cube = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    big = np.arange(3000, dtype=np.float32).reshape(30, 100)
    layers = [
        dict(name='first', value=cube, block=[dict(pad=np.ones((1, 4)))], params=['f', 'b']),
        dict(name='', value=big, block=[dict(pad=np.ones((1, 1)))], params=[]),
    ]
    variables = dict(net=[dict(layers=layers)], cells=[[dict(name='a')], [dict(name='b')]], x=2.0)
    path = write(tmp_path / 'file.mat', variables, compress=compress)
    found = read_mat(path, ['net', 'absent', 'cells'])
    assert list(found) == ['net', 'cells'] and found['cells'] == variables['cells']
    first, second = found['net'][0]['layers']
    assert (first['name'], first['params']) == ('first', ['f', 'b'])
    assert (second['name'], second['params']) == ('', [])
    assert first['value'].dtype == np.float32 and first['block'][0]['pad'].shape == (1, 4)
    np.testing.assert_array_equal(first['value'], cube)
    np.testing.assert_array_equal(second['value'], big)


@pytest.mark.skipif(not MATLAB_FILES.is_dir(), reason="SciPy's test data are not installed")
def test_files_of_matlab_itself():
    def read(name, file):
        return read_mat(MATLAB_FILES / f'{file}_7.4_GLNX86.mat', [name])[name]

    assert read('teststructarr', 'teststructarr')[1] == dict(one='number 1', two='number 2')
    (one, (two, three, (four, five))) = read('testcellnest', 'testcellnest')
    assert [x.item() for x in (one, two, three, four, five)] == [1, 2, 3, 4, 5]
    pytest.importorskip('h5py')
    np.testing.assert_allclose(read('testdouble', 'testhdf5'), np.arange(9)[None] * np.pi / 4)


def test_writing_replaces_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'net.mat'
    net = dict(layers=[dict(name='first', inputs=['a'], block=dict(pad=np.ones(4)))])
    write_mat(path, dict(net=net))
    with pytest.raises(TypeError):
        write_mat(path, dict(net=dict(name='second', function=None)))
    assert list(tmp_path.iterdir()) == [path]
    layer = scipy.io.loadmat(path)['net']['layers'][0, 0]
    assert layer.shape == (1, 1) and layer['inputs'][0, 0][0, 0] == 'a'
    assert layer['block'][0, 0]['pad'][0, 0].tolist() == [[1, 1, 1, 1]]
