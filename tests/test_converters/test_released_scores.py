# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A file of the released layout, converted and run by the toolbox, against plain NumPy."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.apis import init_model
from test_converters.reference_network import lrr
from test_converters.released_layout import (
    CITYSCAPES_SPELLING,
    OTHER_SPELLING,
    RGB_MEAN,
    make_net,
    random_params,
    write_v7,
    write_v73,
)
from test_converters.small_networks import FC_CHANNELS, config

from mmseg_lrr.converters.matconvnet import from_matconvnet

# The accuracy asked for, in standard deviations of a level's scores.
TOLERANCE = 1e-3


def assert_same_scores(checkpoint, params, num_classes, window, fc_channels) -> dict[str, float]:
    """Compares every level's scores; returns the largest differences in standard deviations."""
    options = config(num_classes=num_classes, window=window, fc_channels=fc_channels)
    model = init_model(options, str(checkpoint), device='cpu')
    rgb = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    with torch.no_grad():
        mean = torch.from_numpy(RGB_MEAN).view(3, 1, 1)
        inputs = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() - mean
        levels = model.decode_head.forward_levels(model.extract_feat(inputs))
    expected = lrr(params, rgb - RGB_MEAN.ravel().astype(float), num_classes, window)
    assert list(levels) == list(expected)
    found = {}
    for level, scores in expected.items():
        ours = levels[level][0].permute(1, 2, 0).double().numpy()
        assert ours.shape == scores.shape
        found[level] = np.abs(ours - scores).max() / scores.std()
        assert found[level] < TOLERANCE, level
    return found


@pytest.mark.parametrize(
    ('num_classes', 'window', 'write', 'spelling', 'with_layers'),
    [(21, 9, write_v7, OTHER_SPELLING, True), (19, 17, write_v73, CITYSCAPES_SPELLING, False)],
)
def test_scores_of_a_narrow_network(
    tmp_path, num_classes, window, write, spelling, with_layers
):
    if write is write_v73:
        pytest.importorskip('h5py')
    params = random_params(0, num_classes=num_classes, fc_channels=FC_CHANNELS)
    net = make_net(params, spelling=spelling, window=window if with_layers else None)
    source = write(tmp_path / 'model.mat', {'net': net})
    conversion = from_matconvnet(
        source, window=None if with_layers else window, fc_channels=FC_CHANNELS
    )
    assert conversion.meta['lrr']['mask_window'] == window
    conversion.save(tmp_path / 'model.pth')
    assert_same_scores(tmp_path / 'model.pth', params, num_classes, window, FC_CHANNELS)


def test_the_checkpoint_is_the_whole_model(tmp_path):
    params = random_params(0, num_classes=3, fc_channels=FC_CHANNELS)
    names = ['rock', 'paper', 'scissors']
    source = write_v7(tmp_path / 'model.mat', {'net': make_net(params, window=9, classes=names)})
    conversion = from_matconvnet(source, fc_channels=FC_CHANNELS)
    conversion.save(tmp_path / 'model.pth')
    model = init_model(config(num_classes=3, window=9), str(tmp_path / 'model.pth'), device='cpu')
    assert model.dataset_meta['classes'] == names and len(model.dataset_meta['palette']) == 3
    assert model.decode_head.bases_loaded
    model.load_state_dict(conversion.state_dict, strict=True)


@pytest.fixture
def big_files(tmp_path):
    """A folder that is emptied at once: pytest keeps the last runs' folders."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('num_classes', 'window', 'write', 'with_layers'),
    [
        (21, 9, write_v7, True),
        (21, 17, write_v73, False),
        (19, 17, write_v7, True),
        (19, 9, write_v73, False),
    ],
)
def test_scores_of_a_network_of_the_real_size(
    big_files, repo_root, num_classes, window, write, with_layers, capsys
):
    """206 million parameters, by the command line, in less than 6 GB; prints what it took."""
    if write is write_v73:
        pytest.importorskip('h5py')
    params = random_params(0, num_classes=num_classes)
    spelling = CITYSCAPES_SPELLING if num_classes == 19 else OTHER_SPELLING
    net = make_net(params, spelling=spelling, window=window if with_layers else None)
    source = write(big_files / 'model.mat', {'net': net}, compress=True)
    del net
    command = [str(repo_root / 'tools' / 'model_converters' / 'matconvnet2mmseg.py'), str(source)]
    command += [str(big_files / 'model.pth')]
    command += [] if with_layers else ['--window', str(window)]
    seconds, peak = measure(command)
    assert peak < 6e9
    found = assert_same_scores(big_files / 'model.pth', params, num_classes, window, 4096)
    with capsys.disabled():
        print(
            f'\n{num_classes} classes, window {window}, {write.__name__}: '
            f'{source.stat().st_size / 1e6:.0f} MB converted in {seconds:.1f} s, '
            f'{peak / 1e9:.2f} GB at most; differences in standard deviations: '
            + ', '.join(f'{level} {value:.1e}' for level, value in found.items())
        )


def measure(command: list[str]) -> tuple[float, int]:
    """Runs a Python program; returns its seconds and the most memory it held, in bytes."""
    # Not getrusage, whose peak a process inherits from the one that starts it.
    program = (
        'import json, re, runpy, sys, time\n'
        'start = time.perf_counter()\n'
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]\n"
        'print(json.dumps([time.perf_counter() - start, int(peak) * 1024]))\n'
    )
    arguments = f'import sys; sys.argv = {command!r}\n'
    folder = str(Path(command[0]).parent)
    result = subprocess.run(
        [sys.executable, '-c', arguments + program],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return tuple(json.loads(result.stdout.splitlines()[-1]))
