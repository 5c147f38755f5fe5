# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The converters' command lines, run in this process."""

import functools
import runpy
import sys

import pytest
import torch
from test_converters.released_layout import make_net, random_params, write_v7
from test_converters.small_networks import FC_CHANNELS, config

from mmseg_lrr.converters import from_matconvnet


@pytest.fixture
def run(repo_root, monkeypatch, capsys):
    """Runs a converter; returns what it printed, to the output and as errors."""

    def command(name: str, *arguments: object) -> tuple[str, str]:
        path = repo_root / 'tools' / 'model_converters' / f'{name}.py'
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name='__main__')
        return capsys.readouterr()

    return command


@pytest.fixture
def source(tmp_path):
    params = random_params(0, num_classes=21, fc_channels=FC_CHANNELS, hollow_vgg=True)
    return write_v7(tmp_path / 'model.mat', {'net': make_net(params)})


def test_there_and_back(run, tmp_path, source, monkeypatch):
    narrow = functools.partial(from_matconvnet.convert, fc_channels=FC_CHANNELS)
    monkeypatch.setattr(from_matconvnet, 'convert', narrow)
    options = config(num_classes=21, window=9)
    options.model.data_preprocessor.mean = [1.0, 2.0, 3.0]
    options.dump(tmp_path / 'config.py')
    checkpoint = tmp_path / 'model.pth'
    output, errors = run('matconvnet2mmseg', source, checkpoint, '--config', tmp_path / 'config.py')
    moves = output.splitlines()
    assert 'fc6b (1, 16) -> backbone.fc6.conv.bias (16,)' in moves
    assert 'mask_window: 9' in moves and moves[-1].startswith(f'wrote {checkpoint}: 22.1')
    warnings = [line for line in errors.splitlines() if line.startswith('WARNING')]
    assert 'class names' in warnings[0] and 'mask window' in warnings[1]
    assert "the config's mean colour is [1.0, 2.0, 3.0]" in warnings[2] and len(warnings) == 3
    state = torch.load(checkpoint, weights_only=True)['state_dict']

    output, _ = run('mmseg2matconvnet', checkpoint, tmp_path / 'back.mat', '--window', 17)
    assert 'backbone.fc6.conv.bias -> fc6b (1, 16)' in output.splitlines()
    run('matconvnet2mmseg', tmp_path / 'back.mat', tmp_path / 'again.pth')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)
    assert again['meta']['lrr']['mask_window'] == 17
    assert all(torch.equal(again['state_dict'][name], value) for name, value in state.items())


def test_on_errors_nothing_is_written(run, tmp_path, source):
    """The network is narrower than the released ones."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as caught:
        run('matconvnet2mmseg', source, tmp_path / 'model.pth')
    message = str(caught.value.code)
    assert 'wrong: fc6f is single (7, 7, 512, 16), expected single (7, 7, 512, 4096)' in message
    assert message.endswith('nothing was written')
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    with pytest.raises(SystemExit, match='no LRRHead on VGG16FC'):
        run('mmseg2matconvnet', tmp_path / 'empty.pth', tmp_path / 'model.mat')
    (tmp_path / 'empty.pth').unlink()
    assert sorted(tmp_path.iterdir()) == before
