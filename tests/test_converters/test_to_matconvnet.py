# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import os
import pickle

import numpy as np
import pytest
import scipy.io
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from test_converters import dagnn
from test_converters.reference_network import lrr
from test_converters.released_layout import (
    LEVELS,
    RGB_MEAN,
    make_net,
    random_params,
    write_v7,
)
from test_converters.small_networks import FC_CHANNELS, config, expected_state_dict

from mmseg_lrr.converters.from_matconvnet import convert
from mmseg_lrr.converters.to_matconvnet import export

CLASSES = ['rock', 'paper', 'scissors']


@pytest.fixture(scope='module')
def params() -> dict[str, np.ndarray]:
    return random_params(0, num_classes=3, fc_channels=FC_CHANNELS, de_levels=LEVELS[:2])


def save(path, params, **meta) -> str:
    state = {k: torch.tensor(v) for k, v in expected_state_dict(params, 3).items()}
    torch.save(dict(state_dict=state, meta=meta), path)
    return path


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, params):
    """A checkpoint as training leaves it: no word of mean colour or window."""
    path = tmp_path_factory.mktemp('checkpoint') / 'iter_1.pth'
    return save(path, params, dataset_meta=dict(classes=CLASSES))


@pytest.mark.parametrize('window', [9, 17])
def test_there_and_back(tmp_path, params, window):
    """A converted checkpoint brings its mean, window and classes itself."""
    source = {'net': make_net(params, window=window, classes=CLASSES)}
    first = convert(write_v7(tmp_path / 'first.mat', source), fc_channels=FC_CHANNELS)
    first.save(tmp_path / 'first.pth')
    result = export(tmp_path / 'first.pth')
    assert result.warnings == []
    result.save(tmp_path / 'second.mat')
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'first.mat', 'first.pth', 'second.mat'
    ]  # fmt: skip

    # The file holds the very same parameters, in the very same shapes.
    written = scipy.io.loadmat(tmp_path / 'second.mat')['net']['params'][0, 0][0]
    assert {str(p['name'][0]) for p in written} == set(params)
    for p in written:
        value = params[str(p['name'][0])]
        assert p['value'].dtype == np.float32 and p['value'].shape == value.shape
        np.testing.assert_array_equal(p['value'], value)

    second = convert(tmp_path / 'second.mat', fc_channels=FC_CHANNELS)
    assert second.meta.pop('lrr') == first.meta.pop('lrr') | dict(source='second.mat')
    assert second.meta == first.meta and second.warnings == []
    assert set(second.state_dict) == set(first.state_dict)
    for name, value in first.state_dict.items():
        assert torch.equal(second.state_dict[name], value), name


@pytest.mark.parametrize('window', [9, None])
def test_layers_compute_what_the_network_does(tmp_path, params, checkpoint, window):
    """MATLAB users run ``net.layers``; so does this, with a stand-in for DagNN."""
    mask = config(num_classes=3, window=window, dilation_erosion=None)
    export(checkpoint, config=mask).save(tmp_path / 'net.mat')
    image = np.random.default_rng(1).uniform(-128, 128, (32, 64, 3))
    found = dagnn.run(tmp_path / 'net.mat', image)
    for level, scores in lrr(params, image, 3, window).items():
        np.testing.assert_allclose(found[f'prediction_{level}'], scores, rtol=1e-9, atol=1e-9)
    # The branches are there too, as pyramids of their own.
    for branch in ('dil', 'ero'):
        coarse, fine = found[f'{branch}_seg32x'], found[f'{branch}_seg16x']
        assert coarse.shape == (4, 8, 3) and fine.shape == (8, 16, 3)
        added = found[f'{branch}_seg16x_add'] + found[f'{branch}_seg32x_bil_x2']
        np.testing.assert_array_equal(fine, added)
    # VGG's pooling rounds up, though the levels then no longer fit each other.
    found = dagnn.run(tmp_path / 'net.mat', image[:1, :33], until='x37')
    assert found['x16'].shape == (1, 9, 256) and found['x37'].shape == (1, 2, FC_CHANNELS)


def test_standard_deviation_is_folded_in(tmp_path, params, checkpoint):
    """MatConvNet's network subtracts a mean and no more."""
    options = config(num_classes=3, window=9, dilation_erosion=dict(
        type='DilationErosionBranch', levels=list(LEVELS[:2])),
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=(32, 32)))  # fmt: skip
    mean, std = [110.5, 100.25, 90.0], [58.4, 57.1, 57.4]
    options.model.data_preprocessor.update(mean=mean, std=std)
    export(checkpoint, config=options).save(tmp_path / 'net.mat')
    net = scipy.io.loadmat(tmp_path / 'net.mat')['net']
    written = net['meta'][0, 0]['normalization'][0, 0]['rgbMean'][0, 0]
    assert written.shape == (3, 1) and written.ravel().tolist() == mean

    rgb = np.random.default_rng(1).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    found = dagnn.run(tmp_path / 'net.mat', rgb.astype(float) - mean)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(options.model)
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    model.eval()
    bgr = torch.from_numpy(rgb[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=[bgr], data_samples=[SegDataSample()]))
        levels = model.decode_head.forward_levels(model.extract_feat(inputs['inputs']))
    for level, scores in levels.items():
        expected = found[f'prediction_{level}']
        ours = scores[0].permute(1, 2, 0).numpy()
        assert np.abs(ours - expected).max() < 1e-4 * expected.std()


def test_what_else_the_struct_says(checkpoint):
    result = export(checkpoint, mean=RGB_MEAN.ravel(), window=17)
    assert result.warnings == []
    net = result.net
    blocks = {
        layer['name']: layer['block'] for layer in net['layers'][0] if 'dilate' in layer['name']
    }
    assert len(blocks) == 6
    for block in blocks.values():
        assert block['poolSize'].tolist() == [17, 17] and block['pad'].tolist() == [8] * 4
    assert net['meta']['classes'][0].tolist() == CLASSES
    rates = {p['name']: p['learningRate'] for p in net['params'][0]}
    assert rates['conv1_1f'] == rates['fc7f'] == 1 and rates['conv1_1b'] == 2
    assert [rates[f'bases_coef_{level}f'] for level in LEVELS] == [0.1, 0.05, 0.0125, 0.1 / 512]
    assert [rates[f'bases_coef_{level}b'] for level in LEVELS] == [2] * 4
    assert rates['dil_seg16x_coeff'] == 0.05 and rates['ero_seg_deconv_16x_addb'] == 2
    fixed = ('deconv_8xf', 'dil_seg_deconv_16x_addf', 'dec_ero_seg32x_bil_x2f')
    assert all(rates[name] == 0 for name in fixed)


def test_unknown_window_and_border(checkpoint):
    result = export(checkpoint, mean=(1, 2, 3))
    assert result.warnings == ['the mask window is not known: 9 is written']
    replicate = config(num_classes=3, window=9, upsample_border='replicate', dilation_erosion=None)
    (warning,) = export(checkpoint, config=replicate).warnings
    assert "upsample_border is not 'zeros'" in warning


def test_weights_are_listed_together(tmp_path, params):
    state = {k: torch.tensor(v) for k, v in expected_state_dict(params, 3).items()}
    del state['backbone.fc6.conv.bias'], state['decode_head.erosion.bias.16x']
    state['decode_head.reconstructions.4x.bases'] = torch.zeros(3, 10, 16, 16)
    state['decode_head.conv_seg.weight'] = torch.zeros(1)
    state['auxiliary_head.conv_seg.weight'] = torch.zeros(1)
    torch.save(dict(state_dict=state), tmp_path / 'net.pth')
    with pytest.raises(ValueError) as caught:
        export(tmp_path / 'net.pth', mean=(1, 2, 3))
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        'missing: backbone.fc6.conv.bias',
        'missing: decode_head.erosion.bias.16x',
        'wrong: decode_head.reconstructions.4x.bases is (3, 10, 16, 16), '
        'expected (3, 10, 8, 8)',
        'extra: decode_head.conv_seg.weight',
    ]


def test_what_cannot_be_exported(tmp_path, checkpoint):
    with pytest.raises(ValueError, match='mean colour must be three numbers.*got None'):
        export(checkpoint)
    with pytest.raises(ValueError, match='mean colour must be three numbers'):
        export(checkpoint, mean=(1, 2))
    bgr = config(num_classes=3, window=9)
    bgr.model.data_preprocessor.bgr_to_rgb = False
    with pytest.raises(ValueError, match='bgr_to_rgb must be True'):
        export(checkpoint, config=bgr)
    windows = config(num_classes=3, window=[9, 9, 17, 9])
    with pytest.raises(ValueError, match='mask windows must be the same'):
        export(checkpoint, config=windows)
    torch.save(dict(state_dict={'backbone.layer1.weight': torch.ones(1)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='no LRRHead on VGG16FC'):
        export(tmp_path / 'other.pth', mean=(1, 2, 3))
    with pytest.raises(FileNotFoundError):
        export(tmp_path / 'absent.pth')


FC7, COEFFICIENTS = 'backbone.fc7.conv.bias', 'decode_head.coefficients.32x.weight'
BASES = 'decode_head.reconstructions.32x.bases'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda net: net.update(state_dict=None), r'state_dict of .*\.pth must be a dictionary'),
        (lambda net: net.update(state_dict=[1]), r'state_dict of .*\.pth must be .*, got list'),
        (lambda net: net.update(meta=[1]), r'meta of .*\.pth must be a dictionary, got list'),
        (lambda net: net['meta'].update(lrr=None), r'lrr of .*\.pth must be .*, got NoneType'),
        (lambda net: net['meta'].update(lrr='x'), r'lrr of .*\.pth must be .*, got str'),
        (lambda net: net['meta'].update(dataset_meta=None), r'dataset_meta of .*\.pth must be'),
        (lambda net: net['meta'].update(lrr=dict(mask_window=8)), 'mask_window .* odd .* got 8'),
        (lambda net: net['meta'].update(lrr=dict(mask_window='x')), "mask_window .*, got 'x'"),
        (lambda net: net['meta'].update(dataset_meta=dict(classes=5)), 'of 3 names, got 5'),
        (lambda net: net['meta'].update(dataset_meta=dict(classes=['a'] * 4)), 'of 3 names, got'),
        (lambda net: net['state_dict'].update({5: torch.ones(1)}), 'named by text, got 5'),
        (lambda net: net['state_dict'].update({BASES: 'x'}), 'no LRRHead on VGG16FC'),
        (lambda net: net['state_dict'].update({BASES: torch.ones(0, 0, 8, 8)}), 'no LRRHead'),
        (lambda net: net['state_dict'].update({FC7: torch.tensor(5.0)}), 'no LRRHead'),
    ],
)
def test_odd_checkpoints_are_refused(tmp_path, params, change, message):
    path = save(tmp_path / 'net.pth', params)
    net = torch.load(path)
    change(net)
    torch.save(net, path)
    with pytest.raises((ValueError, TypeError), match=message):
        export(path, mean=(1, 2, 3))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda weight: 'x', 'a str'),
        (lambda weight: weight.int(), 'of torch.int32'),
        (lambda weight: weight.bool(), 'of torch.bool'),
        (lambda weight: weight.to(torch.complex64), 'of torch.complex64'),
        (lambda weight: weight.to('meta'), 'without data of its own'),
        (lambda weight: weight.to_sparse(), 'without data of its own'),
        (lambda weight: torch.ones(1).expand(weight.shape), 'without data of its own'),
        (lambda weight: weight * np.nan, 'with values that are not finite'),
        (lambda weight: weight.double() * 1e300, 'with values that are not finite'),
    ],
)
def test_weights_are_finite_numbers(tmp_path, params, change, message):
    path = save(tmp_path / 'net.pth', params)
    net = torch.load(path)
    net['state_dict'][COEFFICIENTS] = change(net['state_dict'][COEFFICIENTS])
    torch.save(net, path)
    with pytest.raises(ValueError, match=rf'\n  wrong: {COEFFICIENTS} is .*{message}, expected \('):
        export(path, mean=(1, 2, 3))


@pytest.mark.parametrize('window', [1, 8, 9.5])
def test_window_is_odd(checkpoint, window):
    with pytest.raises((ValueError, TypeError), match=f'window must be .*, got {window}'):
        export(checkpoint, mean=(1, 2, 3), window=window)


@pytest.mark.parametrize('value', [np.nan, np.inf, -5, 1e9, 'a'])
def test_mean_colour_is_one(checkpoint, value):
    with pytest.raises((ValueError, TypeError), match=rf'mean\[1\] must be .*, got {value!r}'):
        export(checkpoint, mean=(1, value, 3))


def test_standard_deviation_is_positive(checkpoint):
    options = config(num_classes=3, window=9)
    options.model.data_preprocessor.std = [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match=r'std\[1\] must be .* > 0, got 0'):
        export(checkpoint, config=options)


class _Harmful:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    path = tmp_path / 'harmful.pth'
    with path.open('wb') as file:
        pickle.dump(dict(state_dict=_Harmful(tmp_path / 'done')), file)
    with pytest.raises(ValueError, match='cannot be read as a checkpoint'):
        export(path, mean=(1, 2, 3))
    assert not (tmp_path / 'done').exists()
