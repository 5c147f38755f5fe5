# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the benchmarks compare, count and print; not what they measure."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest import mock

import crf
import gpu
import heads
import numpy as np
import pytest
import textbook
import torch
from mmengine.config import Config

from mmseg_lrr.apis.testing import TestResult
from mmseg_lrr.models.post_processing.dense_crf import DenseCRF
from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets

SMALL = ('--size', 64, '--classes', 5, '--runs', 1)


@pytest.fixture
def printed(call: Callable) -> Callable[..., list[list[str]]]:
    """Run a benchmark; give its tables' rows as lists of cells."""
    def run(module: ModuleType, *arguments: object) -> list[list[str]]:
        threads = () if module is gpu else ('--threads', torch.get_num_threads())
        return [line.strip('| ').split(' | ')
                for line in call(module, *threads, *arguments).splitlines() if line[:2] == '| ']
    return run


def test_textbook_port_is_the_same_network() -> None:
    """Scores, losses and gradients of what the head is timed against."""
    head = heads.build_head(num_classes=5, device='cpu').double()
    port = textbook.TextbookHead(head)
    features = [item.double() for item in heads.build_features(64, 2, 'cpu')]
    labels = textbook.block_labels(64, 2, 5)
    torch.testing.assert_close(head.forward_levels(features), port(features))

    def gradients(module: torch.nn.Module, loss: Callable) -> tuple:
        heads.training_step(module, features, loss)
        return loss(), [item.grad.clone() for item in (*features, *head.parameters())
                        if item.grad is not None]

    ours = gradients(head, lambda: heads.head_loss(head, features, labels))
    assert len(ours[1]) == 12
    torch.testing.assert_close(ours, gradients(port, lambda: port.loss(features, labels)))


@pytest.mark.parametrize('stride', [1, 8])
def test_textbook_targets_are_the_same(stride: int) -> None:
    labels = textbook.block_labels(96, 2, 5)
    ours = dilation_erosion_targets(labels, 5, stride=stride, void='class0')
    for mine, theirs in zip(ours, textbook.textbook_targets(labels.numpy(), 5), strict=True):
        sampled = torch.from_numpy(theirs)[:, :, stride // 2::stride, stride // 2::stride]
        torch.testing.assert_close(mine.double(), sampled)


def test_parts_can_be_chosen(printed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                             ) -> None:
    monkeypatch.setattr(heads, 'GROWTH', ((64, 5), (128, 3)))
    rows = printed(heads, *SMALL, '--parts', 'mask', 'targets', '--growth', '--json',
                   tmp_path / 'r.json')
    ratios = json.loads((tmp_path / 'r.json').read_text())['ratios']
    assert list(ratios) == [
        'mask_forward', 'mask_with_softmax', 'mask_train', 'targets_every_pixel', 'targets']
    assert all(math.isfinite(value) and value > 0 for value in ratios.values())
    assert [row[-1] for row in rows[1:6]] == [f'{ratio:.4g}' for ratio in ratios.values()]
    assert [row[:2] for row in rows[7:]] == [['64x64', '5'], ['128x128', '3']]


@pytest.mark.slow
def test_heads_writes_all_ratios(printed: Callable, tmp_path: Path) -> None:
    printed(heads, *SMALL, '--json', tmp_path / 'ratios.json')
    ratios = json.loads((tmp_path / 'ratios.json').read_text())['ratios']
    assert set(ratios) == {
        'mask_forward', 'mask_with_softmax', 'mask_train', 'reconstruction_forward',
        'reconstruction_train', 'head_forward', 'head_train', 'head_over_its_convolutions',
        'head_train_peak_memory', 'end_to_end_vs_deeplabv3plus', 'targets_every_pixel', 'targets'}
    assert all(math.isfinite(value) and value > 0 for value in ratios.values())


def test_class_gating_is_timed_beside_others(printed: Callable, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    model = heads.build_model('SegFormer', 5)
    monkeypatch.setattr(heads, 'build_model', lambda name, classes: model)
    counts, reconstruct = [], heads.lrr_level.reconstruct
    monkeypatch.setattr(heads.lrr_level, 'reconstruct', lambda coefficients, bases: counts.append(
        len(bases)) or reconstruct(coefficients, bases))
    rows = printed(heads, *SMALL, '--classes-active', 2, 3)
    assert [row[0] for row in rows] == ['active', 'all', '2', '3'] * 2
    assert all(float(cell) > 0 for row in (*rows[1:4], *rows[5:]) for cell in row[1:])
    assert counts[:12] == [2, 2, 2, 3, 3, 3] * 2  # a round for warming up, and one that is timed


def test_gating_of_a_trained_network(printed: Callable, repo_root: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def run_test(cfg: Config, checkpoint: str) -> TestResult:
        threshold = cfg.model.test_cfg.class_threshold
        if threshold:  # two images of 32x, 16x and 8x scores, one with two classes, one with none
            for scores in [torch.tensor([[[[0., 10.]], [[0., 0.]], [[-30., -30.]]]])] * 3 + [
                    torch.zeros(1, 3, 1, 2)] * 3:
                heads.lrr_level.varying_classes(scores, threshold)
        return TestResult({'mIoU': 50 - threshold, 'trimap_mIoU@3': 30.}, 2, 0.5)

    monkeypatch.setattr(heads, 'run_test', run_test)
    rows = printed(heads, '--gate', repo_root / 'configs/lrr/lrr4x_r18_camvid.py', 'x.pth')
    assert rows[1] == ['0', 'all', '50.00', '30.00', '0.5']
    assert rows[4] == ['0.1', '1.0, 1.0, 1.0', '49.90', '30.00', '0.5'] and len(rows) == 6


def test_bytes_kept_for_the_backward_pass(printed: Callable, monkeypatch: pytest.MonkeyPatch
                                          ) -> None:
    x, given = torch.randn(10, requires_grad=True), torch.randn(10)
    assert heads.kept_bytes(lambda: (x * given).exp(), [x, given]) == 40  # exp keeps its result
    monkeypatch.setattr(heads, 'peak_memory', lambda *args: 2.0)
    _, *rows = printed(heads, *SMALL, '--parts', 'memory')
    port, ours, recomputing = (float(row[-1]) for row in rows)
    assert 0 < recomputing < ours < port


def test_step_of_a_whole_model_has_all_losses() -> None:
    """Every parameter that a model trains, LRR's DE branches too, gets a gradient."""
    model = heads.build_model('LRR-4x', 3)
    model.backbone = torch.nn.ModuleList(
        [torch.nn.Conv2d(3, channels, 1, stride) for channels, stride in
         zip(heads.CHANNELS, (4, 8, 16, 32), strict=True)])
    model.backbone.forward = lambda image: [conv(image) for conv in model.backbone]
    heads.model_call('LRR-4x', 'train', 64, 3, 'cpu', model)()
    assert all(item.grad is not None for item in model.parameters())


def test_cost_follows_from_one_step(printed: Callable, repo_root: Path) -> None:
    found = dict(weights=2 * 10**6, operations=10**12, kept=10**9, peak=None)
    with mock.patch.object(heads, 'cost_of_step', return_value=found):
        _, row = printed(heads, '--parts', 'cost', '--gpus', 2, '--configs',
                         repo_root / 'configs/lrr/lrr4x_r18_camvid.py')
    # AdamW: four values per weight; 4000 iterations of 8 images on 2 GPUs; 20 TFLOP/s.
    assert row == ['lrr4x_r18_camvid', '8', '2', '1000', '1000', '8.0', '64', '0.9', '-']


def test_a_real_step_is_counted(repo_root: Path) -> None:
    cfg = Config.fromfile(repo_root / 'configs/lrr/lrr4x_r18_shapes_demo.py')
    cfg.model.data_preprocessor.size = (32, 32)
    small = heads.cost_of_step(cfg, 'cpu')
    cfg.model.data_preprocessor.size = (64, 32)
    large = heads.cost_of_step(cfg, 'cpu')
    assert small['weights'] == large['weights'] > 2 * 10**6
    assert large['operations'] == pytest.approx(2 * small['operations'], rel=0.01)
    assert large['kept'] == pytest.approx(2 * small['kept'], rel=0.1)


def test_gpu_suite_runs_on_a_cpu(printed: Callable) -> None:
    rows = printed(gpu, *SMALL, '--device', 'cpu', '--batches', 1, 2, '--ways', 'float32',
                   'with_cp', '--names', 'head of LRR-4x')
    cells = {tuple(row[1:4]): float(row[4]) for row in rows if row[0] == 'head of LRR-4x'}
    assert set(cells) == {(batch, way, what) for batch in '12' for way in ('float32', 'with_cp')
                          for what in ('forward', 'training step')}
    assert all(milliseconds > 0 for milliseconds in cells.values())
    assert [row[0] for row in rows[-3:]] == ['head and its gradients', 'DE targets', 'CRF']
    assert all(float(row[1]) < 1e-5 for row in rows[-3:])


@pytest.mark.slow
def test_exported_files_stand_beside_pytorch(printed: Callable, repo_root: Path) -> None:
    pytest.importorskip('onnxruntime')
    import onnx_files

    _, *rows = printed(onnx_files, repo_root / 'configs/lrr/lrr4x_r18_shapes_demo.py',
                       '--size', 64, 96, '--runs', 1)
    shares = {row[0]: float(row[-1].removesuffix('%')) for row in rows[1:]}
    sizes = [float(row[1]) for row in rows[1:4]]
    assert shares['onnxruntime, float32'] == 100 and shares['onnxruntime, float16'] > 99
    assert shares['onnxruntime, int8'] > 90
    np.testing.assert_allclose(sizes[0] / np.array(sizes), [1, 2, 4], rtol=.1)


def test_crf_stands_beside_a_reference(printed: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, 'peak_memory', lambda *args: 1.0)
    if crf.importlib.util.find_spec('pydensecrf') is None:  # something else that gives marginals
        monkeypatch.setattr(crf.importlib.util, 'find_spec', lambda name: True)
        monkeypatch.setattr(crf, 'pydensecrf_inference', lambda image, probs, preset: DenseCRF(
            preset=preset)(image, probs) + np.float32(1e-6))
    header, *rows = printed(
        crf, '--sizes', '40x30x3', '--runs', 1, '--presets', 'kraehenbuehl', 'deeplab_v1')
    assert [row[1] for row in rows] == ['kraehenbuehl', 'deeplab_v1']
    for row in rows:
        assert len(row) == len(header) and float(row[2]) > 0
        assert row[-2] == '100.0000%' and 0 < float(row[-1]) < 1e-4
