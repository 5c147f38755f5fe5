# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The converters' command lines, and the way back to MatConvNet."""

import functools
import re

import matconvnet2mmseg
import mmseg2matconvnet
import numpy as np
import pytest
import scipy.io
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg2matconvnet import to_matconvnet
from test_converters import dagnn
from test_converters.reference_network import lrr
from test_converters.released_layout import LEVELS, RGB_MEAN, make_net, random_params, write_v7
from test_converters.small_networks import (
    FC_CHANNELS,
    config,
    expected_state_dict,
    hollow_params,
)

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.converters.config_check import config_differences
from mmseg_lrr.converters.mat_file import write_mat
from mmseg_lrr.converters.matconvnet import from_matconvnet

CLASSES = ['rock', 'paper', 'scissors']


@pytest.fixture(scope='module')
def params():
    return random_params(0, num_classes=3, fc_channels=FC_CHANNELS, de_levels=LEVELS[:2])


@pytest.fixture(scope='module')
def weights(params):
    return {k: torch.tensor(v) for k, v in expected_state_dict(params, 3).items()}


@pytest.fixture
def checkpoint(tmp_path, weights):
    """A checkpoint as training leaves it: no word of mean colour or window."""
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=weights, meta=meta), tmp_path / 'iter_1.pth')
    return tmp_path / 'iter_1.pth'


def test_there_and_back_by_command_line(tmp_path, params, monkeypatch, capsys, call):
    narrow = functools.partial(from_matconvnet, fc_channels=FC_CHANNELS)
    monkeypatch.setattr('mmseg_lrr.converters.matconvnet.from_matconvnet', narrow)
    options = config(num_classes=3, window=9)
    options.model.data_preprocessor.mean = [1.0, 2.0, 3.0]
    options.dump(tmp_path / 'config.py')
    first, second, third = tmp_path / '1.mat', tmp_path / '2.mat', tmp_path / '3.mat'
    write_v7(first, dict(net=make_net(params, window=17, classes=CLASSES)))
    call(matconvnet2mmseg, first, tmp_path / '1.pth')
    # A converted checkpoint brings its mean, window and classes itself.
    printed = call(mmseg2matconvnet, tmp_path / '1.pth', second)
    assert 'backbone.fc6.conv.bias -> fc6b (1, 16)' in printed
    # The file holds the very same parameters, in the very same shapes.
    written = scipy.io.loadmat(second)['net']['params'][0, 0][0]
    assert {str(p['name'][0]) for p in written} == set(params)
    for p in written:
        np.testing.assert_array_equal(p['value'], params[str(p['name'][0])], strict=True)
    call(matconvnet2mmseg, second, tmp_path / '2.pth')
    before, after = (torch.load(tmp_path / name) for name in ('1.pth', '2.pth'))
    assert before['meta']['lrr'].pop('source') == '1.mat'
    assert after['meta']['lrr'].pop('source') == '2.mat' and after['meta'] == before['meta']
    assert all(torch.equal(after['state_dict'][k], v) for k, v in before['state_dict'].items())
    call(mmseg2matconvnet, tmp_path / '2.pth', third, '--window', 9, '--mean', 1, 2, 3)
    again = from_matconvnet(third, fc_channels=FC_CHANNELS).meta['lrr']
    assert again['mask_window'] == 9 and again['mean'] == [1, 2, 3]
    # What it says, on which stream; and nothing is written of a network that does not fit.
    monkeypatch.setattr('sys.argv', ['tool', str(first), str(tmp_path / '1.pth'), '--config',
                                     str(tmp_path / 'config.py')])
    matconvnet2mmseg.main()
    output, errors = capsys.readouterr()
    assert 'fc6b (1, 16) -> backbone.fc6.conv.bias (16,)' in output and 'mask_window: 17' in output
    assert 'is [1.0, 2.0, 3.0], the network' in errors and errors.count('WARNING') == 2
    monkeypatch.undo()
    with pytest.raises(SystemExit, match=r'1\.mat: .*\n *wrong: fc6f is \(7, 7, 512, 16\)'):
        call(matconvnet2mmseg, first, tmp_path / 'wide.pth')
    assert not (tmp_path / 'wide.pth').exists()


@pytest.mark.parametrize('num_classes, levels, window, mode', [
    (21, LEVELS, 11, 'whole'), (19, LEVELS, 17, 'halves'), (3, ['32x'], None, 'whole')])
def test_the_config_beside_the_checkpoint_is_the_networks(
        tmp_path, monkeypatch, call, num_classes, levels, window, mode):
    narrow = functools.partial(from_matconvnet, fc_channels=FC_CHANNELS)
    monkeypatch.setattr('mmseg_lrr.converters.matconvnet.from_matconvnet', narrow)
    params = hollow_params(num_classes=num_classes, levels=levels)
    write_v7(tmp_path / 'a.mat', dict(net=make_net(params, window=window)))
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')  # No folder of the repository's.
    for _ in range(2):  # It may be converted again.
        assert 'test.py b.py b.pth' in call(matconvnet2mmseg, tmp_path / 'a.mat', 'b.pth')
    written, meta = Config.fromfile('b.py'), torch.load('b.pth')['meta']
    # Three classes are not those of the data that it reads.
    assert len(config_differences(written, meta)) == (num_classes == 3)
    assert written.model.data_preprocessor.mean == RGB_MEAN.ravel().tolist()
    assert written.model.decode_head.upsample_border == 'zeros'
    assert written.model.test_cfg == dict(mode=mode, level_outputs=True)
    written.model.backbone.fc_channels = written.model.decode_head.in_channels[-1] = FC_CHANNELS
    model = MODELS.build(written.model)
    check_checkpoint(model, 'b.pth')
    assert {mask.window for mask in model.modules() if hasattr(mask, 'window')} == (
        {window} if window else set())
    (tmp_path / 'train.py').write_text('import sys')
    with pytest.raises(SystemExit, match=r'train\.py, .*is another file'):
        call(matconvnet2mmseg, tmp_path / 'a.mat', tmp_path / 'train.pth')
    assert not (tmp_path / 'train.pth').exists()


@pytest.mark.parametrize('window', [9, None])
def test_layers_compute_what_the_network_does(tmp_path, params, checkpoint, window):
    """MATLAB users run ``net.layers``; so does this, with a stand-in for DagNN."""
    mask = config(num_classes=3, window=window, dilation_erosion=None)
    write_mat(tmp_path / 'net.mat', dict(net=to_matconvnet(checkpoint, config=mask)[0]))
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


def test_standard_deviation_is_folded_in(tmp_path, weights, checkpoint):
    """MatConvNet's network subtracts a mean and no more."""
    options = config(num_classes=3, window=9, dilation_erosion=None)
    mean, std = [110.5, 100.25, 90.0], [58.4, 57.1, 57.4]
    options.model.data_preprocessor.update(mean=mean, std=std)
    write_mat(tmp_path / 'net.mat', dict(net=to_matconvnet(checkpoint, config=options)[0]))
    rgb = np.random.default_rng(1).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    found = dagnn.run(tmp_path / 'net.mat', rgb.astype(float) - mean)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(options.model).eval()
    model.load_state_dict(weights, strict=False)
    bgr = torch.from_numpy(rgb[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=[bgr], data_samples=[SegDataSample()]))
        levels = model.decode_head.forward_levels(model.extract_feat(inputs['inputs']))
    for level, scores in levels.items():
        expected = found[f'prediction_{level}']
        assert np.abs(scores[0].permute(1, 2, 0).numpy() - expected).max() < 1e-4 * expected.std()


def test_what_else_the_struct_says(checkpoint, weights):
    net, _, warnings = to_matconvnet(checkpoint, mean=RGB_MEAN.ravel(), window=17)
    assert warnings == [] and net['meta']['classes'] == CLASSES
    assert net['meta']['normalization']['rgbMean'].tolist() == RGB_MEAN.tolist()
    blocks = [layer['block'] for layer in net['layers'] if 'dilate' in layer['name']]
    assert len(blocks) == 6
    for block in blocks:
        assert block['poolSize'].tolist() == [17, 17] and block['pad'].tolist() == [8] * 4
    # Of a checkpoint written when a level was not yet a module, the same.
    older = {k.replace('reconstruction.', 'reconstructions.'): v for k, v in weights.items()}
    older = {re.sub(r'levels\.(\d+x)\.(\w+)\.', r'\2.\1.', k): v for k, v in older.items()}
    assert older.keys() != weights.keys()
    torch.save(older, checkpoint)
    again, _, _ = to_matconvnet(checkpoint, mean=RGB_MEAN.ravel(), window=17)
    for ours, theirs in zip(again['params'], net['params'], strict=True):
        np.testing.assert_array_equal(ours['value'], theirs['value'])
    rates = {p['name']: p['learningRate'] for p in net['params']}
    assert rates['conv1_1f'] == rates['fc7f'] == 1 and rates['conv1_1b'] == 2
    assert [rates[f'bases_coef_{level}f'] for level in LEVELS] == [0.1, 0.05, 0.0125, 0.1 / 512]
    assert rates['dil_seg16x_coeff'] == 0.05 and rates['ero_seg_deconv_16x_addb'] == 2
    assert rates['deconv_8xf'] == rates['dil_seg_deconv_16x_addf'] == 0
    assert rates['dec_ero_seg32x_bil_x2f'] == 0


def test_warnings_and_what_cannot_be_exported(tmp_path, checkpoint, weights):
    warnings = to_matconvnet(checkpoint, mean=(1, 2, 3))[2]
    assert warnings == ['the mask window is not known: 9 is written']
    replicate = config(num_classes=3, window=9, upsample_border='replicate', dilation_erosion=None)
    (warning,) = to_matconvnet(checkpoint, config=replicate)[2]
    assert "upsample_border is not 'zeros'" in warning
    bgr = config(num_classes=3, window=9)
    bgr.model.data_preprocessor.bgr_to_rgb = False
    for options, message in (
            (dict(), 'mean colour is not known'), (dict(mean=(1, 2, 3), window=8), 'window .*8'),
            (dict(config=bgr), 'bgr_to_rgb must be True'),
            (dict(config=config(num_classes=3, window=[9, 9, 17, 9])), 'windows must be the same')):
        with pytest.raises(ValueError, match=message):
            to_matconvnet(checkpoint, **options)
    torch.save(dict(state_dict={'backbone.layer1.weight': torch.ones(1)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='no LRRHead on VGG16FC'):
        to_matconvnet(tmp_path / 'other.pth')
    state = dict(weights, **{'decode_head.conv_seg.weight': torch.zeros(1)})
    state['auxiliary_head.conv_seg.weight'] = torch.zeros(1)
    state['backbone.fc7.conv.weight'] = torch.zeros(16, 16, 3, 3)
    del state['backbone.fc6.conv.bias']
    torch.save(state, tmp_path / 'other.pth')
    with pytest.raises(ValueError) as caught:
        to_matconvnet(tmp_path / 'other.pth', mean=(1, 2, 3))
    assert sorted(line.strip() for line in str(caught.value).splitlines()[1:]) == [
        'extra: decode_head.conv_seg.weight', 'missing: backbone.fc6.conv.bias',
        'wrong: backbone.fc7.conv.weight is (16, 16, 3, 3), expected (16, 16, 1, 1)']
