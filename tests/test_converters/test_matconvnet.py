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
    make_net,
    make_simplenn,
    random_params,
    write_v7,
    write_v73,
)
from test_converters.small_networks import FC_CHANNELS, expected_state_dict, hollow_params

from mmseg_lrr.converters import matconvnet
from mmseg_lrr.converters.matconvnet import Parameter, from_matconvnet, usual_name

ABC = ['a', 'b', 'c']


@pytest.fixture(scope='module')
def params() -> dict[str, np.ndarray]:
    return random_params(0, num_classes=21, fc_channels=FC_CHANNELS)


@pytest.fixture
def hollow() -> dict[str, np.ndarray]:
    return hollow_params(num_classes=3)


@pytest.fixture
def convert(monkeypatch):
    """Converts a struct ``net`` as if it were read from a file."""

    def run(net: list, window: int | None = 9) -> matconvnet.Conversion:
        monkeypatch.setattr(matconvnet, 'read_mat', lambda *_: dict(net=net))
        return from_matconvnet('net.mat', window=window, fc_channels=FC_CHANNELS)

    return run


def assert_same(state_dict: dict, expected: dict) -> None:
    assert set(state_dict) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(state_dict[name].numpy(), value, name, strict=True)


@pytest.mark.parametrize(('write', 'spelling', 'window'), [
    (write_v7, CITYSCAPES_SPELLING, None), (write_v73, OTHER_SPELLING, 17)])
def test_every_number_arrives_to_the_last_bit(tmp_path, params, write, spelling, window):
    if write is write_v73:
        pytest.importorskip('h5py')
    voc = get_classes('voc')
    net = make_net(params, spelling=spelling, window=window, classes=voc)
    path = write(tmp_path / 'model.mat', dict(net=net, stats=np.ones((1, 1))))
    conversion = from_matconvnet(path, window=None if window else 11, fc_channels=FC_CHANNELS)
    assert_same(conversion.state_dict, expected_state_dict(params, 21))
    assert conversion.warnings == []
    assert conversion.meta == dict(
        lrr=dict(num_classes=21, num_bases=10, levels=list(LEVELS), mask_window=window or 11,
                 dilation_erosion_levels=['32x'], mean=RGB_MEAN.ravel().tolist(), classes=voc,
                 source='model.mat'),
        dataset_meta=dict(classes=voc, palette=get_palette('voc')))
    # One line for each parameter, by the name that the file has.
    in_file = sorted(spelling.get(name, name) for name in params)
    assert sorted(line.split()[0] for line in conversion.moves) == in_file
    conversion.save(tmp_path / 'new' / 'net.pth')
    assert torch.load(tmp_path / 'new' / 'net.pth', weights_only=True)['meta'] == conversion.meta


@pytest.mark.parametrize(('levels', 'de_levels', 'num_bases'), [
    (1, 0, 10), (3, 2, 4), (4, 4, 10)])
def test_layout_is_found(convert, levels, de_levels, num_bases):
    levels, de_levels = LEVELS[:levels], LEVELS[:de_levels]
    params = hollow_params(num_classes=3, num_bases=num_bases, levels=levels, de_levels=de_levels)
    conversion = convert(make_net(params, classes=ABC))
    assert_same(conversion.state_dict, expected_state_dict(params, 3, num_bases))
    # A network of one level has no mask.
    expected = dict(num_classes=3, num_bases=num_bases, mask_window=9 if levels[1:] else None)
    expected |= dict(levels=list(levels), dilation_erosion_levels=list(de_levels))
    assert expected.items() <= conversion.meta['lrr'].items()


def test_spellings():
    for name, usual in (
            *((other, usual) for usual, other in (CITYSCAPES_SPELLING | OTHER_SPELLING).items()),
            ('ero_mask_deconv16sb', 'ero_seg_deconv_16x_addb'),
            ('dec_prediction_8s_bil_x2f', 'dec_prediction_8x_bil_x2f'),
            ('dec_ero_mask32s_bil_x2f', 'dec_ero_seg32x_bil_x2f'),
            # None of LRR's.
            ('bases_coef_2xf', 'bases_coef_2xf'), ('xdeconv_32xf', 'xdeconv_32xf')):
        assert usual_name(name) == usual


def test_problems_are_listed_together(convert, hollow):
    del hollow['conv3_2b'], hollow['bases_coef_16xf']
    hollow['fc8f'] = np.zeros((1, 1, 4, 4), np.float32)
    hollow['deconv_8xf'] = np.zeros((16, 16, 1, 30), np.float32)
    with pytest.raises(ValueError) as caught:
        convert(make_net(hollow, spelling={'deconv_8xf': 'deconv_8sf'}))
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        'missing: conv3_2b',
        'missing: bases_coef_16xf',
        'wrong: deconv_8sf is (16, 16, 1, 30), expected (8, 8, 1, 30)',
        'extra: fc8f',
    ]


def test_what_is_no_network(convert, hollow):
    with pytest.raises(ValueError, match=r'neither a DagNN.*net\.saveobj'):
        convert([dict(weights=np.ones((1, 1)))])
    with pytest.raises(ValueError, match='not an LRR network'):
        convert(make_net(dict(fc8f=np.ones((1, 1)))))
    hollow['bases_coef_32sb'] = hollow['bases_coef_32xb']
    with pytest.raises(ValueError, match='bases_coef_32xb and bases_coef_32sb are the same'):
        convert(make_net(hollow))


def test_shapes_of_matlab():
    """Last axes of length 1 lack; biases lie or stand."""
    column = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    parameter = Parameter('f', (2, 2, 3, 1), (1, 3, 2, 2), 'w')
    assert parameter.fits(column.shape) and not parameter.fits((2, 3, 2))
    assert parameter.to_torch(column)[0, 2, 1, 0] == column[1, 0, 2]
    bias = Parameter('b', (1, 7), (7,), 'b')
    assert bias.fits((1, 7)) and bias.fits((7, 1)) and not bias.fits((1, 8))
    assert bias.to_torch(np.arange(7.0)[:, None]).tolist() == list(range(7))


def test_fixed_filters(convert, hollow):
    """Unknown ones are left out, known ones compared; they may lack."""
    hollow['dec_prediction_32x_biup_f'] = np.zeros((4, 4, 1, 3), np.float32)
    bilinear = hollow['dec_prediction_32x_bil_x2f'].copy()
    bilinear[0, 0, 0, 1] += 1e-3
    hollow['dec_prediction_16x_bil_x2f'] = bilinear
    hollow['dil_seg_deconv_32xf'] = hollow['dil_seg_deconv_32xf'] + 1
    del hollow['dec_prediction_8x_bil_x2f']
    conversion = convert(make_net(hollow, classes=ABC))
    assert_same(conversion.state_dict, expected_state_dict(hollow, 3))
    about = ' '.join(sorted(warning.split()[0] for warning in conversion.warnings))
    assert about == 'dec_prediction_16x_bil_x2f dec_prediction_8x_bil_x2f dil_seg_deconv_32xf'
    assert any(line.startswith('dec_prediction_32x_biup_f') for line in conversion.moves)


def test_window(convert, hollow):
    """The one of the layers, then the option, then nine."""
    for in_file, option, window, warning in (
            (17, 17, 17, None), (None, 17, 17, None), (17, 9, 17, 'overrides the 9 given'),
            (None, None, 9, 'prob_dilate_*')):
        conversion = convert(make_net(hollow, window=in_file, classes=ABC), option)
        assert conversion.meta['lrr']['mask_window'] == window
        assert [warning in w for w in conversion.warnings] == ([True] if warning else [])
    net = make_net(hollow, window=17)
    net[0]['layers'][-1]['block'][0]['poolSize'] = np.array([[11.0, 11.0]])
    with pytest.raises(ValueError, match=r'one square, got sides \[11, 17\]'):
        convert(net)


@pytest.mark.parametrize(('num_classes', 'in_file', 'names', 'palette', 'warnings'), [
    # VOC without background, as its setup script names the classes; then in a struct.
    (21, get_classes('voc')[1:], get_classes('voc'), 'voc', 0),
    (21, [dict(name=get_classes('voc'))], get_classes('voc'), 'voc', 0),
    # All 35 labels of Cityscapes for the 19 classes.
    (19, ['label'] * 35, get_classes('cityscapes'), 'cityscapes', 1),
    # Other classes, or none: VOC's colours.
    (2, np.zeros((0, 0)), ['0', '1'], 'voc', 1),
    (3, ABC, ABC, 'voc', 0),
    (4, ABC[:2], ['0', '1', '2', '3'], 'voc', 1)])
def test_class_names_and_missing_colour(convert, num_classes, in_file, names, palette, warnings):
    net = make_net(hollow_params(num_classes=num_classes))
    # VGG's own averageImage does not stand in for it.
    net[0]['meta'][0]['classes'] = in_file
    del net[0]['meta'][0]['normalization'][0]['rgbMean']
    conversion = convert(net)
    palette = get_palette(palette)[:num_classes]
    assert conversion.meta['lrr']['mean'] is None and 'rgbMean' in conversion.warnings.pop(0)
    assert conversion.meta['dataset_meta'] == dict(classes=names, palette=palette)
    assert len(conversion.warnings) == warnings


@pytest.mark.parametrize(('write', 'old'), [(write_v7, True), (write_v73, False)])
def test_imagenet_network(tmp_path, params, write, old):
    if write is write_v73:
        pytest.importorskip('h5py')
    vgg = {k: v for k, v in params.items() if k.startswith(('conv', 'fc'))}
    vgg['conv1_1b'] = vgg['conv1_1b'].T
    path = write(tmp_path / 'imagenet-vgg-verydeep-16.mat', make_simplenn(vgg, old=old))
    conversion = from_matconvnet(path, fc_channels=FC_CHANNELS)
    expected = expected_state_dict(params, 21).items()
    assert_same(conversion.state_dict, {k: v for k, v in expected if k.startswith('backbone.')})
    mean = conversion.meta['vgg'].pop('mean')
    np.testing.assert_allclose(mean, [123.68, 116.779, 103.939], rtol=1e-6)
    assert conversion.meta == dict(vgg=dict(std=[1, 1, 1], source=path.name))
