# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the benchmarks choose, count and print; not what they measure."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'benchmarks'
CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lrr'
sys.path.append(str(TOOLS))

# isort: split
import config_cost  # noqa: E402
import gated  # noqa: E402
import heads  # noqa: E402
import textbook  # noqa: E402

from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets  # noqa: E402

from ..test_apis.small_project import make_project  # noqa: E402

# ------------------------------------------------------------------ both ways do the same work


def test_textbook_port_is_the_same_network() -> None:
    """Scores, losses and gradients of what the head is timed against."""
    head = heads.build_head(num_classes=5, device='cpu').double()
    port = textbook.TextbookHead(head)
    features = [item.double() for item in heads.build_features(64, 2, 'cpu')]
    labels = textbook.block_labels(64, 2, 5)
    for ours, theirs in zip(head.forward_levels(features).items(), port(features).items(),
                            strict=True):
        assert ours[0] == theirs[0]
        torch.testing.assert_close(ours[1], theirs[1])
    assert list(port(features, levels=2)) == ['32x', '16x']

    def gradients(loss) -> tuple[torch.Tensor, list[torch.Tensor]]:
        for feature in features:
            feature.grad = None
            feature.requires_grad_()
        head.zero_grad()
        value = loss()
        value.backward()
        return value, [item.grad.clone() for item in (*features, *head.coefficients.parameters())]

    torch.testing.assert_close(
        gradients(lambda: heads.head_loss(head, features, labels)),
        gradients(lambda: port.loss(features, labels)))


@pytest.mark.parametrize('stride', [1, 8])
def test_textbook_targets_are_the_same(stride: int) -> None:
    labels = textbook.block_labels(96, 2, 5)
    ours = dilation_erosion_targets(labels, 5, stride=stride)
    for mine, theirs in zip(ours, textbook.textbook_targets(labels.numpy(), 5), strict=True):
        sampled = torch.from_numpy(theirs)[:, :, stride // 2::stride, stride // 2::stride]
        torch.testing.assert_close(mine.double(), sampled)


@pytest.mark.slow
def test_heads_writes_the_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(heads, 'GROWTH', ((64, 5), (128, 3)))
    monkeypatch.setattr(sys, 'argv', [
        'heads.py', '--size', '64', '--classes', '5', '--runs', '1', '--growth',
        '--threads', str(torch.get_num_threads()), '--json', str(tmp_path / 'ratios.json')])
    heads.main()
    ratios = json.loads((tmp_path / 'ratios.json').read_text())['ratios']
    assert set(ratios) >= {
        'mask_forward', 'mask_train', 'reconstruction_forward', 'head_forward', 'head_train',
        'head_train_peak_memory', 'end_to_end_vs_deeplabv3plus', 'targets'}
    assert all(math.isfinite(value) and value > 0 for value in ratios.values())
    printed = capsys.readouterr().out
    assert f'| {ratios["head_train"]:.4g} |' in printed
    assert printed.count('| 128x128 | 3 |') == 2


@pytest.mark.parametrize('name', ['mask', 'reconstruction', 'targets'])
def test_parts_have_a_row_a_case(name: str, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture) -> None:
    threads = str(torch.get_num_threads())
    monkeypatch.setattr(sys, 'argv', [
        f'{name}.py', '--cases', '64x5', '96x3', '--runs', '1', '--threads', threads])
    importlib.import_module(name).main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('median of 1')
    for case in ('64x64 | 5', '96x96 | 3'):
        (row, ) = [line for line in lines if f'{case} |' in line]
        figures = [float(cell) for cell in row.strip('| ').split(' | ')[2:]]
        assert len(figures) >= 5 and all(figure > 0 for figure in figures)


def test_step_of_a_whole_model_has_all_losses() -> None:
    """Every parameter that a model trains, LRR's DE branches too, gets a gradient."""
    model = heads.build_model('LRR-4x', 3)
    model.backbone = torch.nn.ModuleList(
        [torch.nn.Conv2d(3, channels, 1, stride) for channels, stride in
         zip(heads.CHANNELS, (4, 8, 16, 32), strict=True)])
    model.backbone.forward = lambda image: [conv(image) for conv in model.backbone]
    heads.model_step(model, torch.randn(1, 3, 64, 64))
    assert all(item.grad is not None for item in model.parameters())


@pytest.mark.slow
def test_a_child_prints_its_memory_alone(monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, 'argv', [
        'heads.py', '--child', 'model:LRR-4x:train', '--size', '64', '--classes', '3',
        '--threads', str(torch.get_num_threads())])
    heads.main()
    assert float(capsys.readouterr().out) > 0


# ------------------------------------------------------------------ options

BAD_OPTIONS = [
    *((name, ['--runs', '0'], '--runs: must be at least 1, got 0')
      for name in ('mask', 'reconstruction', 'targets', 'modes', 'crf')),
    ('bases', ['ROOT', '--runs', '0'], '--runs: must be at least 1, got 0'),
    ('bases', ['ROOT', '--patches', '9'], '--patches: must be at least 10, got 9'),
    ('evaluation', ['CONFIG', '--images', '-1'], '--images: must be at least 1, got -1'),
    ('gated', ['CONFIG', 'CHECKPOINT', '--images', '0'], '--images: must be at least 1, got 0'),
    ('heads', ['--threads', '0'], '--threads: must be at least 1, got 0'),
    ('heads', ['--threads', 'x'], "--threads: invalid integer value: 'x'"),
    *((name, ['--size', '100'], '--size: must be at least 64 and a multiple of 64, got 100')
      for name in ('heads', 'memory', 'modes')),
    ('heads', ['--classes', '1'], '--classes: must be at least 2, got 1'),
    ('heads', ['--device', 'nowhere'], "--device: must be a device of this machine, got 'nowhere'"),
    *(('reconstruction', ['--cases', text],
       f"SIDExCLASSES, the side a multiple of 8 and at least 2 classes, got '{text}'")
      for text in ('64', '33x2', '64x1', '0x3', 'axb', '64x3x3')),
    ('mask', ['--window', '4'], '--window must be odd, got 4'),
    ('targets', ['--batch', '0'], '--batch: must be at least 1, got 0'),
    *(('crf', ['--sizes', text],
       f"WIDTHxHEIGHTxCLASSES with at least 2 classes, got '{text}'")
      for text in ('60x40', '60x40x1', '0x40x3', 'axbxc')),
    ('config_cost', ['CONFIG', '--gpus', '0'], '--gpus: must be at least 1, got 0'),
]


@pytest.mark.parametrize('name, arguments, message', BAD_OPTIONS)
def test_a_bad_option_is_refused_at_once(
    name: str, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(name).main()
    assert stop.value.code == 2
    assert message in ' '.join(capsys.readouterr().err.split())


def test_a_place_for_the_ratios_is_checked_before_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(args: object) -> dict[str, float]:
        raise AssertionError('measured')

    monkeypatch.setattr(heads, 'measure', measure)
    monkeypatch.setattr(sys, 'argv', [
        'heads.py', '--threads', str(torch.get_num_threads()), '--json', str(tmp_path)])
    with pytest.raises(FileExistsError, match='is no regular file'):
        heads.main()


# ------------------------------------------------------------------ the other benchmarks


@pytest.mark.parametrize(('count', 'total', 'expected'), [
    (1, 5, [0]),
    (2, 5, [0, 2]),
    (4, 8, [0, 2, 4, 6]),
    (7, 3, [0, 1, 2]),
])
def test_images_of_the_gated_benchmark(count: int, total: int, expected: list[int]) -> None:
    assert gated.evenly_spaced(count, total) == expected


@pytest.mark.parametrize('count', [1, 2, 12, 50, 100, 101])
def test_as_many_images_as_were_asked_for(count: int) -> None:
    """CamVid has 101."""
    numbers = gated.evenly_spaced(count, 101)
    assert len(numbers) == count and numbers[-1] < 101
    steps = {after - before for before, after in zip(numbers, numbers[1:], strict=False)}
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize('threshold', ['0', '1', '-0.1'])
def test_thresholds_are_between_none_and_all(threshold: str, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(
        sys, 'argv', ['gated.py', 'CONFIG', 'CHECKPOINT', f'--thresholds={threshold}'])
    with pytest.raises(SystemExit):
        gated.main()
    assert '--thresholds must be above 0 and below 1, got' in capsys.readouterr().err


def test_configs_of_one_network_share_a_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    names = ['lrr4x_r18_camvid', 'lrr32x_r18_camvid', 'lrr4x_r18_camvid_stage2']
    monkeypatch.setattr(
        sys, 'argv', ['config_cost.py', *(str(CONFIGS / f'{name}.py') for name in names)])
    steps = []

    def small_step(model: Config, size: tuple[int, int], device: str) -> dict[str, int]:
        steps.append(len(model.decode_head.in_channels))
        return dict(weights=steps[-1] * 10**6, operations=steps[-1] * 10**9, kept=0)

    with mock.patch.object(config_cost, 'one_step', small_step):
        config_cost.main()
    assert steps == [4, 1]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (names[0], '4', '4'), (names[1], '1', '1'), (names[2], '4', '4')]


def test_a_real_step_leaves_the_network_as_it_was_described() -> None:
    cfg = Config.fromfile(CONFIGS / 'lrr4x_r18_shapes_demo.py')
    own = config_cost.network(cfg)
    found = config_cost.one_step(own[0], (32, 32), 'cpu')
    assert config_cost.network(cfg) == own
    assert found['weights'] > 10**7 and found['operations'] > 10**8 and found['kept'] > 10**5
    # Start weights and colours cost nothing; the size does.
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x.pth')
    cfg.model.data_preprocessor.mean = [0, 0, 0]
    assert config_cost.network(cfg) == own
    cfg.model.data_preprocessor.size = (32, 32)
    assert config_cost.network(cfg) != own


# ------------------------------------------------------------------ each prints its table


def run_benchmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str,
                  *arguments: object) -> dict[str, list[str]]:
    """Run a benchmark in this process; give the cells of its tables' rows by their first cell."""
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
    importlib.import_module(name).main()
    rows = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith('|'):
            first, *cells = line.strip('| ').split(' | ')
            rows[first] = cells
    return rows


def test_memory_has_a_row_a_level(monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture) -> None:
    rows = run_benchmark(monkeypatch, capsys, 'memory', '--size', 64, '--classes', 5)
    figures = {level: [float(cell) for cell in rows[level]] for level in ('32x', '16x', '8x', '4x')}
    # The cells have four digits.
    assert [float(cell) for cell in rows['all']] == pytest.approx(
        [sum(column) for column in zip(*figures.values(), strict=True)], rel=2e-3)
    textbook, ours, recomputing = map(float, rows['all'])
    assert 0 < recomputing < ours < textbook


def test_tiles_have_a_row_a_fraction(monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, 'argv', [
        'tiles.py', '--size', '64', '--classes', '5', '--runs', '1', '--threads',
        str(torch.get_num_threads())])
    importlib.import_module('tiles').main()
    rows = [line.strip('| ').split(' | ') for line in capsys.readouterr().out.splitlines()
            if line.startswith(('| 4x', '| 8x'))]
    ways = ['whole', '0.1', '0.25', '0.5', '0.75', '1']
    assert [row[2] for row in rows] == [*ways, *ways, 'finding them']
    assert {row[1] for row in rows} == {'256 x 16 x 16', '512 x 8 x 8', '5 x 64 x 64'}
    assert all(float(row[3]) > 0 for row in rows)
    for first in (0, 6):
        whole = float(rows[first][3])
        for row in rows[first:first + 6]:
            assert float(row[4]) == pytest.approx(whole / float(row[3]), rel=2e-3)


def test_modes_stand_beside_eager(monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture) -> None:
    rows = run_benchmark(
        monkeypatch, capsys, 'modes', '--size', 64, '--classes', 5, '--runs', 1, '--threads',
        torch.get_num_threads(), '--ways', 'channels_last', 'with_cp')
    assert list(rows)[2:] == ['eager', 'channels_last', 'with_cp']
    assert [float(cell) for cell in rows['eager']][1::2] == [1, 1]
    assert float(rows['eager'][-1]) == float(rows['with_cp'][-1]) == 0
    assert float(rows['channels_last'][-1]) < 1e-5
    assert all(float(cell) > 0 for row in list(rows.values())[2:] for cell in row[:-1])


def test_bases_stand_beside_an_svd_and_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for folder in ('JPEGImages', 'SegmentationClassAug'):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for name in 'abc':
        blocks = rng.permutation(np.arange(42) % 21).astype(np.uint8).reshape(6, 7)
        labels = blocks.repeat(24, axis=0).repeat(24, axis=1)
        Image.fromarray(labels).save(tmp_path / 'SegmentationClassAug' / f'{name}.png')
    (tmp_path / 'list.txt').write_text('a\nb\nc\n')
    np.save(tmp_path / 'random.npy', rng.normal(size=(8, 8, 1, 210)).astype(np.float32))
    monkeypatch.setattr(sys, 'argv', [
        'bases.py', str(tmp_path), '--ann-file', 'list.txt', '--patches', '60', '--runs', '1',
        '--reference', str(tmp_path / 'random.npy')])
    importlib.import_module('bases').main()
    printed = capsys.readouterr().out
    for number in (6, 20, 60):
        assert f'| {number} |' in printed
    assert 'All of it, 21 classes from 3 label maps' in printed
    (aeroplane, ) = [line for line in printed.splitlines() if line.startswith('aeroplane')]
    cosines = [float(word) for word in aeroplane.split()[1:-1]]
    assert len(cosines) == 10 and cosines == sorted(cosines, reverse=True)
    # Ten of 64 dimensions at random hardly share one.
    assert cosines[-1] < 0.5


def test_principal_cosines() -> None:
    bases = importlib.import_module('bases')
    axes = np.eye(64).reshape(64, 8, 8)
    turned = np.stack([axes[0] + axes[1], axes[0] - axes[1], 3 * axes[2] + 4 * axes[9]])
    np.testing.assert_allclose(bases.principal_cosines(axes[:3], turned), [1, 1, 0.6], atol=1e-12)


def test_evaluation_overlaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture) -> None:
    project = make_project(tmp_path, num_images=2)
    rows = run_benchmark(
        monkeypatch, capsys, 'evaluation', project / 'config.py', '--images', 2, '--runs', 1,
        '--threads', torch.get_num_threads(),
        # The toolbox keeps visualizers by their name, this one with a folder that is gone then.
        '--cfg-options', 'visualizer.name=evaluation_benchmark')
    network, cells = list(rows.items())[-1]
    crf, both, overlapped = map(float, cells[:3])
    assert float(network) + crf == pytest.approx(both, rel=2e-3)
    assert float(cells[-1]) == pytest.approx(both / overlapped, rel=2e-3)


def test_evaluation_counts_the_images_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    project = make_project(tmp_path, num_images=2)
    monkeypatch.setattr(
        importlib.import_module('evaluation'), 'seconds',
        lambda ways, *_: dict(zip(ways, (8., 12., 10.), strict=True)))
    rows = run_benchmark(
        monkeypatch, capsys, 'evaluation', project / 'config.py', '--images', 9, '--threads',
        torch.get_num_threads(), '--cfg-options', 'visualizer.name=counting_benchmark')
    assert [float(cell) for cell in rows['4'][:3]] == [2, 6, 5]


def test_gate_stands_beside_the_dense_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture) -> None:
    project = make_project(tmp_path, num_images=2)
    rows = run_benchmark(
        monkeypatch, capsys, 'gated', project / 'config.py', project / 'weights.pth', '--images', 2,
        '--thresholds', 1e-9, 0.999, '--threads', torch.get_num_threads())
    # Those masks are positive almost everywhere, and nowhere nearly 1.
    assert [float(cell) for cell in rows['1e-09'][:3]] == [1, 1, 0]
    assert [float(cell) for cell in rows['0.999'][:2]] == [0, 0]
    assert float(rows['0.999'][2]) > 0
    assert float(rows['dense'][3]) - float(rows['0.999'][3]) == pytest.approx(
        float(rows['0.999'][4]), abs=0.02)


def test_the_gate_of_another_networks_checkpoint_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, num_images=1)
    weights = torch.load(project / 'weights.pth', weights_only=True)
    del weights['state_dict']['decode_head.coefficients.4x.weight']
    torch.save(weights, tmp_path / 'other.pth')
    monkeypatch.setattr(sys, 'argv', [
        'gated.py', str(project / 'config.py'), str(tmp_path / 'other.pth'), '--threads',
        str(torch.get_num_threads())])
    with pytest.raises(ValueError, match=r'coefficients\.4x\.weight .* is missing'):
        gated.main()


@pytest.mark.slow
def test_crf_has_a_row_a_preset(monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, 'argv', [
        'crf.py', '--sizes', '40x30x3', '--runs', '1', '--presets', 'kraehenbuehl', 'deeplab_v1'])
    crf = importlib.import_module('crf')
    crf.main()
    rows = [line.strip('| ').split(' | ') for line in capsys.readouterr().out.splitlines()
            if line.startswith('| 40x30x3')]
    assert [row[1] for row in rows] == ['kraehenbuehl', 'deeplab_v1']
    for row in rows:
        assert len(row) == len(crf.COLUMNS) and float(row[2]) > 0 and float(row[9]) > 0
        if importlib.util.find_spec('pydensecrf') is not None:
            assert row[-2] == '100.0000%' and float(row[-1]) < 1e-4
