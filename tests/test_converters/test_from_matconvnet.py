# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmseg.utils import get_classes, get_palette
from test_converters.released_layout import (
    CITYSCAPES_SPELLING,
    LEVELS,
    OTHER_SPELLING,
    RGB_MEAN,
    VGG,
    Cell,
    Struct,
    make_net,
    make_simplenn,
    random_params,
    write_v7,
    write_v73,
)
from test_converters.small_networks import FC_CHANNELS, expected_state_dict, hollow_params, plain

from mmseg_lrr.converters import from_matconvnet
from mmseg_lrr.converters.from_matconvnet import convert
from mmseg_lrr.converters.mat_values import MatFileError, Unread

VOC = ['background', *get_classes('voc')[1:]]


@pytest.fixture(scope='module')
def params() -> dict[str, np.ndarray]:
    return random_params(0, num_classes=21, fc_channels=FC_CHANNELS)


@pytest.fixture
def hollow() -> dict[str, np.ndarray]:
    return hollow_params(num_classes=3)


@pytest.fixture
def convert_net(tmp_path, monkeypatch):
    """Converts a struct ``net`` (or all the variables) as if it were read from a file."""

    def run(net: dict, window: int | None = 9, variables: bool = False):
        path = tmp_path / 'net.mat'
        found = {k: plain(v) for k, v in net.items()} if variables else {'net': plain(net)}
        monkeypatch.setattr(from_matconvnet, 'read_mat', lambda *_: found)
        return convert(path, window=window, fc_channels=FC_CHANNELS)

    return run


def assert_same(state_dict: dict, expected: dict) -> None:
    assert set(state_dict) == set(expected)
    for name, value in expected.items():
        ours = state_dict[name].numpy()
        assert ours.dtype == value.dtype, name
        np.testing.assert_array_equal(ours, value, err_msg=name)


@pytest.mark.parametrize(
    ('write', 'spelling', 'window'),
    [(write_v7, {}, 9), (write_v7, CITYSCAPES_SPELLING, None), (write_v73, OTHER_SPELLING, 17)],
)
def test_every_number_arrives_to_the_last_bit(tmp_path, params, write, spelling, window):
    if write is write_v73:
        pytest.importorskip('h5py')
    net = make_net(params, spelling=spelling, window=window, classes=VOC)
    path = write(tmp_path / 'model.mat', {'net': net, 'stats': np.ones((1, 1))})
    conversion = convert(path, window=None if window else 11, fc_channels=FC_CHANNELS)
    assert_same(conversion.state_dict, expected_state_dict(params, 21))
    assert conversion.warnings == []
    assert conversion.meta == dict(
        lrr=dict(
            num_classes=21,
            num_bases=10,
            levels=list(LEVELS),
            dilation_erosion_levels=['32x'],
            mask_window=window or 11,
            mean=RGB_MEAN.ravel().tolist(),
            classes=VOC,
            source='model.mat',
        ),
        dataset_meta=dict(classes=VOC, palette=get_palette('voc')),
    )
    # One line for each parameter, by the name that the file has.
    in_file = sorted(spelling.get(name, name) for name in params)
    assert sorted(line.split()[0] for line in conversion.moves) == in_file


def test_checkpoint_is_written_whole_and_loads_with_weights_only(tmp_path, convert_net, hollow):
    conversion = convert_net(make_net(hollow, classes=['a', 'b', 'c']))
    path = tmp_path / 'new' / 'net.pth'
    conversion.save(path)
    assert list(path.parent.iterdir()) == [path]
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta'] == conversion.meta
    assert_same(checkpoint['state_dict'], {k: v.numpy() for k, v in conversion.state_dict.items()})


@pytest.mark.parametrize(
    ('levels', 'de_levels'), [(1, 1), (1, 0), (2, 0), (3, 2), (4, 4)]
)
def test_levels_and_branch_are_found(convert_net, levels, de_levels):
    options = dict(num_classes=3, levels=LEVELS[:levels], de_levels=LEVELS[:de_levels])
    params = hollow_params(**options)
    # Without a count of classes in the weights, there are ten bases a class.
    conversion = convert_net(make_net(params, classes=['a', 'b', 'c']))
    assert_same(conversion.state_dict, expected_state_dict(params, 3))
    found = conversion.meta['lrr']
    assert found['levels'] == list(LEVELS[:levels])
    assert found['dilation_erosion_levels'] == list(LEVELS[:de_levels])
    assert found['num_classes'] == 3 and found['num_bases'] == 10
    # A network of one level has no mask.
    assert found['mask_window'] == (None if levels == 1 else 9)


def test_another_number_of_bases(convert_net):
    params = hollow_params(num_classes=4, num_bases=3)
    conversion = convert_net(make_net(params, classes=list('abcd')))
    assert_same(conversion.state_dict, expected_state_dict(params, 4, num_bases=3))


def test_problems_are_listed_together_by_name(convert_net, hollow):
    for name in ('conv3_2b', 'bases_coef_16xf', 'ero_seg_deconv_32xb'):
        del hollow[name]
    hollow['fc8f'] = np.zeros((1, 1, 4, 4), np.float32)
    hollow['batchnorm1m'] = np.zeros((1, 4), np.float32)
    hollow['conv1_1f'] = np.zeros((3, 3, 3, 32), np.float32)
    hollow['deconv_8xf'] = np.zeros((16, 16, 1, 30), np.float32)
    hollow['conv2_1b'] = np.zeros((1, 128), np.int32)
    hollow['fc7b'] = Cell([np.zeros((1, 4), np.float32)])
    hollow['dil_seg32x_coefb'] = np.full((1, 30), np.nan, np.float32)
    hollow['bases_coef_4xb'] = 'text'
    net = make_net(hollow, spelling={'deconv_8xf': 'deconv_8sf'})
    with pytest.raises(MatFileError) as caught:
        convert_net(net)
    message = str(caught.value)
    assert 'net.mat: the parameters are not those of LRR with levels 32x, 16x, 8x, 4x' in message
    assert {line.strip() for line in message.splitlines()[1:]} == {
        'missing: conv3_2b',
        'missing: bases_coef_16xf',
        'missing: ero_seg_deconv_32xb',
        'extra: fc8f',
        'extra: batchnorm1m',
        'wrong: conv1_1f is single (3, 3, 3, 32), expected single (3, 3, 3, 64)',
        'wrong: deconv_8sf is single (16, 16, 1, 30), expected single (8, 8, 1, 30)',
        'wrong: conv2_1b is int32 (1, 128), expected single (1, 128)',
        'wrong: fc7b is a cell array of 1, expected single (1, 16)',
        'wrong: dil_seg32x_coefb holds numbers that are not finite',
        "wrong: bases_coef_4xb is the text 'text', expected single (1, 30)",
    }


def test_level_of_another_number_of_classes(convert_net, hollow):
    other = hollow_params(num_classes=4)
    hollow['bases_coef_8xf'], hollow['deconv_8xf'] = other['bases_coef_8xf'], other['deconv_8xf']
    with pytest.raises(MatFileError) as caught:
        convert_net(make_net(hollow))
    assert [line.split()[:2] for line in str(caught.value).splitlines()[1:]] == [
        ['wrong:', 'bases_coef_8xf'],
        ['wrong:', 'deconv_8xf'],
    ]


def test_the_same_parameter_in_both_spellings(convert_net, hollow):
    hollow['bases_coef_32sb'] = hollow['bases_coef_32xb']
    with pytest.raises(MatFileError, match='twice: bases_coef_32xb and bases_coef_32sb'):
        convert_net(make_net(hollow))


def test_double_and_standing_biases(convert_net, hollow):
    expected = expected_state_dict(hollow, 3)
    hollow['bases_coef_32xb'] = hollow['bases_coef_32xb'].T
    hollow['deconv_4xf'] = hollow['deconv_4xf'].astype(np.float64)
    assert_same(convert_net(make_net(hollow)).state_dict, expected)


def test_fixed_filters(convert_net, hollow):
    """Unknown ones are left out, known ones compared; they may lack."""
    hollow['dec_prediction_32x_biup_f'] = np.zeros((4, 4, 1, 3), np.float32)
    bilinear = hollow['dec_prediction_32x_bil_x2f'].copy()
    bilinear[0, 0, 0, 1] += 1e-3
    hollow['dec_prediction_16x_bil_x2f'] = bilinear
    hollow['dil_seg_deconv_32xf'] = hollow['dil_seg_deconv_32xf'] + 1
    del hollow['dec_prediction_8x_bil_x2f']
    conversion = convert_net(make_net(hollow, classes=['a', 'b', 'c']))
    assert_same(conversion.state_dict, expected_state_dict(hollow, 3))
    assert len(conversion.warnings) == 3
    for name in ('dec_prediction_16x_bil_x2f', 'dec_prediction_8x_bil_x2f', 'dil_seg_deconv_32xf'):
        assert sum(name in warning for warning in conversion.warnings) == 1
    assert any(line.startswith('dec_prediction_32x_biup_f') for line in conversion.moves)


def test_window_is_the_layers_then_the_option_then_nine(convert_net, hollow):
    def run(in_file, option):
        classes = ['a', 'b', 'c']
        conversion = convert_net(make_net(hollow, window=in_file, classes=classes), option)
        return conversion.meta['lrr']['mask_window'], conversion.warnings

    assert run(17, None) == (17, [])
    assert run(17, 17) == (17, [])
    assert run(None, 17) == (17, [])
    window, warnings = run(17, 9)
    assert window == 17 and 'overrides the 9 given' in warnings[0]
    window, warnings = run(None, None)
    assert window == 9 and 'prob_dilate_*' in warnings[0]


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        (np.array([[9.0, 11.0]]), 'one odd square'),
        (np.array([[8.0, 8.0]]), 'one odd square'),
        (np.array([[1.0, 1.0]]), 'one odd square'),
        (np.array([[11.0, 11.0]]), 'one odd square'),
        (np.ones((1, 3)), 'two numbers'),
        ('nine', 'two numbers'),
    ],
)
def test_windows_that_are_none(convert_net, hollow, size, message):
    net = make_net(hollow, window=9)
    net['layers'][-1]['block'] = Struct([{'poolSize': size}])
    with pytest.raises(MatFileError, match=f'(?s)neg_prob_dilate_8x.*{message}|{message}'):
        convert_net(net)


@pytest.mark.parametrize('window', [0, 1, 8, -3, 9.5])
def test_window_option_is_checked(tmp_path, window):
    with pytest.raises((TypeError, ValueError), match=f'window.*{window}'):
        convert(tmp_path / 'net.mat', window=window)


def test_mean_colour_is_never_that_of_vgg(convert_net, hollow):
    net = make_net(hollow, classes=['a', 'b', 'c'])
    del net['meta'][0]['normalization'][0]['rgbMean']
    conversion = convert_net(net)
    assert conversion.meta['lrr']['mean'] is None
    assert len(conversion.warnings) == 1 and 'rgbMean' in conversion.warnings[0]
    del net['meta']
    assert len(convert_net(net).warnings) == 2


@pytest.mark.parametrize('wrap', [False, True])
def test_class_names(convert_net, wrap):
    def run(num_classes, names):
        params = hollow_params(num_classes=num_classes)
        net = make_net(params)
        net['meta'][0]['classes'] = Struct([{'name': Cell(names)}]) if wrap else Cell(names)
        conversion = convert_net(net)
        return conversion.meta['dataset_meta'], conversion.warnings

    # VOC without background, as its setup script names the classes.
    meta, warnings = run(21, VOC[1:])
    assert (meta['classes'], meta['palette'], warnings) == (VOC, get_palette('voc'), [])
    # All 35 labels of Cityscapes for the 19 classes.
    meta, warnings = run(19, [str(i) for i in range(35)])
    assert meta == dict(classes=get_classes('cityscapes'), palette=get_palette('cityscapes'))
    assert '35 class names' in warnings[0]
    # Other classes: VOC's colours, whatever their number.
    meta, warnings = run(3, ['a', 'b', 'c'])
    assert meta == dict(classes=['a', 'b', 'c'], palette=get_palette('voc')[:3])
    meta, warnings = run(4, ['a', 'b'])
    assert meta['classes'] == ['0', '1', '2', '3'] and 'numbers stand in' in warnings[0]


@pytest.mark.parametrize(
    ('net', 'message'),
    [
        (Unread('dagnn.DagNN'), r'net must be a struct, got <MATLAB dagnn.DagNN.*net\.saveobj'),
        (np.ones((3, 3)), 'net must be a struct, got double'),
        ('net', "net must be a struct, got the text 'net'"),
        (Struct([{'params': Cell(['a'])}]), r'net\.params must be a struct array, got a cell'),
        (Struct([{'params': Struct([{'name': 3.0}])}]), r'net\.params\(1\) must have a name'),
        (Struct([{'weights': np.ones((1, 1))}]), 'neither a DagNN.*it holds weights'),
        (Struct([{'layers': Struct([{'name': 'x'}]), 'params': 'no'}]), 'got the text'),
        (
            Struct([{'params': Struct([{'name': 'fc8f', 'value': np.ones((1, 1))}])}]),
            'no parameter of an LRR network.*its parameters are fc8f',
        ),
    ],
)
def test_foreign_networks(convert_net, net, message):
    with pytest.raises(MatFileError, match=message):
        convert_net({'net': net}, variables=True)


@pytest.mark.parametrize('weights', [True, False])
@pytest.mark.parametrize('write', [write_v7, write_v73])
def test_imagenet_network(tmp_path, params, write, weights):
    if write is write_v73:
        pytest.importorskip('h5py')
    vgg = {k: v for k, v in params.items() if k.startswith(('conv', 'fc'))}
    # Biases stand in some files and lie in others.
    vgg['conv1_1b'] = vgg['conv1_1b'].T
    variables = make_simplenn(vgg, weights=weights, colour_image=not weights)
    path = write(tmp_path / 'imagenet-vgg-verydeep-16.mat', variables)
    conversion = convert(path, fc_channels=FC_CHANNELS)
    expected = expected_state_dict(params, 21)
    assert_same(
        conversion.state_dict, {k: v for k, v in expected.items() if k.startswith('backbone.')}
    )
    details = conversion.meta['vgg']
    np.testing.assert_allclose(details['mean'], [123.68, 116.779, 103.939], rtol=1e-6)
    assert details['std'] == [1, 1, 1] and details['source'] == path.name
    assert [line for line in conversion.moves if line.startswith('fc8')] == [
        'fc8f: the classifier, left out',
        'fc8b: the classifier, left out',
    ]


def test_imagenet_network_that_is_none(convert_net, params):
    vgg = {k: v for k, v in params.items() if k.startswith(('conv', 'fc'))}
    variables = make_simplenn(vgg)
    conv1_2 = variables['layers'][2][0]
    conv1_2['weights'] = Cell([np.ones((3, 3, 64, 32), np.float32), 'bias'])
    variables['layers'][4][0]['name'] = 'conv9_9'
    with pytest.raises(MatFileError) as caught:
        convert_net(variables, variables=True)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        'missing: conv2_1f',
        'missing: conv2_1b',
        'extra: conv9_9f',
        'extra: conv9_9b',
        'wrong: conv1_2f is single (3, 3, 64, 32), expected single (3, 3, 64, 64)',
        "wrong: conv1_2b is the text 'bias', expected single (1, 64)",
    ]
    conv1_2['weights'] = Cell([])
    with pytest.raises(MatFileError, match=r'conv1_2\.weights must be a cell of two'):
        convert_net(variables, variables=True)
    conv1_2['weights'] = np.ones((1, 2))
    with pytest.raises(MatFileError, match=r'conv1_2\.weights must be a cell of two'):
        convert_net(variables, variables=True)
    conv1_2['type'] = np.ones((1, 2))
    with pytest.raises(MatFileError, match=r'layers\{3\} must have a type, got double \(1, 2\)'):
        convert_net(variables, variables=True)


def test_imagenet_network_without_its_colour(convert_net, params):
    vgg = {k: v for k, v in params.items() if k.startswith(('conv', 'fc'))}
    variables = make_simplenn(vgg)
    del variables['meta']
    conversion = convert_net({'net': Struct([variables])}, variables=True)
    assert conversion.meta['vgg']['mean'] is None and 'averageImage' in conversion.warnings[0]


def test_names_of_vgg_are_all_there():
    """The generator's list, which the tests above stand on, is the package's."""
    ours = [p.name for p in from_matconvnet.vgg_parameters() if p.name.startswith('conv')]
    assert ours == [name + kind for name, *_ in VGG for kind in 'fb']
