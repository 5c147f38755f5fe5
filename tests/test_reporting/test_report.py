# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The table: every cell is that of the test run it names; interrupted, it goes on."""

import csv
import json
import re
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmseg_lrr.apis.testing import TestResult, configure_test, crf_config, run_test
from mmseg_lrr.reporting import report
from mmseg_lrr.reporting.report import make_report

from ..small_segmentors import stock_config
from ..test_apis.small_project import config, save_weights
from ..test_apis.small_project import make_project as make_small_project

ROWS = ['32x', '16x', '8x', '4x', 'ms', 'ms-crf']
SCORES = ['mIoU', 'aAcc', 'mAcc', *(
    f'{name}@{width}' for name in ('trimap_mIoU', 'boundary_mIoU', 'boundary_mF')
    for width in (1, 3))]


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of one config, and a network without levels."""
    folder = make_small_project(tmp_path_factory.mktemp('project'))
    cfg = config(folder)
    # The report asks for the levels by itself.
    cfg.model.test_cfg.level_outputs = False
    cfg.dump(folder / 'config.py')
    save_weights(cfg, folder / 'other.pth', seed=1)
    stock = config(folder, {**stock_config(), 'type': 'LRREncoderDecoder'})
    stock.dump(folder / 'stock.py')
    save_weights(stock, folder / 'stock.pth')
    return folder


def expected_rows(project: Path) -> dict[str, list[float]]:
    """All scores of every row, from test runs of their own."""
    cfg = Config.fromfile(project / 'config.py')
    cfg.model.test_cfg.level_outputs = True
    near = dict(widths=[1, 3])
    cfg.test_evaluator.update(details=True, trimap=near, boundary_iou=near, boundary_f=near)
    cfg.work_dir = str(project / 'expected')
    names, weights = SCORES, str(project / 'weights.pth')
    single = run_test(configure_test(cfg), weights).metrics
    rows = {level: [single[f'{name}_{level}'] for name in names] for level in ROWS[:4]}
    for row, crf in (('ms', None), ('ms-crf', crf_config())):
        metrics = run_test(configure_test(cfg, tta=True, crf=crf), weights).metrics
        rows[row] = [metrics[name] for name in names]
    return rows


def test_every_cell_of_every_file(project: Path, tmp_path: Path) -> None:
    rows = make_report([(str(project / 'config.py'), str(project / 'weights.pth'))], tmp_path,
                       widths=(3, 1), say=lambda _: None)['config']
    expected = expected_rows(project)
    assert len({tuple(numbers) for numbers in expected.values()}) == 6
    with open(tmp_path / 'report.csv', newline='') as file:
        heading, *lines = csv.reader(file)
    assert heading == ['output', 'mIoU', 'aAcc', 'mAcc', 'trimap mIoU, 1 px', 'trimap mIoU, 3 px',
                       'boundary mIoU, 1 px', 'boundary mIoU, 3 px', 'boundary mF, 1 px',
                       'boundary mF, 3 px', 's/image']
    assert [line[0] for line in lines] == ROWS
    saved = json.loads((tmp_path / 'report.json').read_text())['models']['config']['rows']
    assert list(saved) == ROWS
    text, page = ((tmp_path / f'report.{kind}').read_text() for kind in ('md', 'html'))
    markdown = text.splitlines()
    assert markdown[0] == '| ' + ' | '.join(heading) + ' |'
    for number, (name, *cells, seconds) in enumerate(lines):
        assert cells == [f'{score:.2f}' for score in expected[name]]
        assert markdown[2 + number] == '| ' + ' | '.join([name, *cells, seconds]) + ' |'
        row = rows[name]
        fields = row.trimap, row.boundary_iou, row.boundary_f
        near = (field[width] for field in fields for width in (1, 3))
        assert [row.miou, row.aacc, row.macc, *near] == expected[name]
        assert list(row.classes) == ['a', 'b', 'c']
        assert all(f'<td>{score:.2f}</td>' in page for score in row.classes.values())
        assert np.mean([*row.classes.values()]) == pytest.approx(row.miou, abs=.01)
        assert saved[name] == json.loads(json.dumps(asdict(row)))
        assert f'<tr><th>{name}</th><td' in page
        assert all(f'>{cell}</td>' in page for cell in cells)
        assert f'data-output="{name}">{name}</button>' in page
    assert re.search(r'<h1>config on BaseSegDataset images, \d{4}-\d\d-\d\d</h1>', page)
    # The levels come from one run.
    assert len({rows[name].seconds_per_image for name in ROWS}) == 3 and 0 < float(seconds)
    with open(tmp_path / 'trimap_config.csv', newline='') as file:
        assert list(csv.reader(file)) == [['width', 'level', 'mIoU', 'boundary_mIoU', 'boundary_mF']
                                          ] + [
            [str(width), name, *(str(expected[name][column + offset]) for column in (3, 5, 7))]
            for name in ROWS for offset, width in enumerate((1, 3))]
    for name in ('trimap', 'boundary_iou', 'boundary_f', 'bases'):
        assert cv2.imread(str(tmp_path / f'{name}_config.png')) is not None
    assert page.count('class="card"') == 3 and page.count('class="layer mask"') == 9
    assert page.count('<img src="data:image/png') == 4
    for note in ('classes absent from both prediction and ground truth are skipped',
                 'config: images: 3; checkpoint weights.pth', 'DenseCRF(preset=deeplab_v2_vgg16)'):
        assert note in text and note in page


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that are tested, with made-up numbers, each test's unlike another's."""
    configs: list[Config] = []

    def run(cfg: Config, checkpoint: str) -> TestResult:
        configs.append(cfg)
        model = cfg.model
        levels = [f'_{level}' for level in ROWS[:4]] if (
            model.type == 'LRREncoderDecoder' and model.decode_head.type == 'LRRHead') else ['']
        metrics = {f'{name}{level}': 10. * len(configs) + number for level in levels
                   for number, name in enumerate(SCORES)}
        return TestResult(metrics, min(cfg.test_dataloader.dataset.get('indices', 3), 3), .5)

    monkeypatch.setattr(report, 'run_test', run)
    return configs


def test_interrupted_it_goes_on(project: Path, tmp_path: Path, tested: list[Config],
                                monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (str(project / 'config.py'), str(project / 'weights.pth'))
    run = report.run_test

    def stop_at_the_crf(cfg: Config, checkpoint: str) -> TestResult:
        if cfg.model.get('crf'):
            raise KeyboardInterrupt
        return run(cfg, checkpoint)

    def make(**options: object) -> list[str]:
        said: list[str] = []
        make_report([pair], tmp_path, **{
            'widths': [1], 'limit': 2, 'images': 0, 'say': said.append, **options})
        return [line.rsplit(': ', 1)[1] for line in said]

    monkeypatch.setattr(report, 'run_test', stop_at_the_crf)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert [cfg.model.type for cfg in tested] == ['LRREncoderDecoder', 'LRRTTAModel']
    # What there is can be read.
    assert list(json.loads((tmp_path / 'report.json').read_text())['models']['config']['rows']) == (
        ROWS[:5])
    assert 'config: images: 2 (limited to the first 2)' in (tmp_path / 'report.md').read_text()

    monkeypatch.setattr(report, 'run_test', run)
    kept, new = 'kept from an earlier run', 'testing'
    assert make() == [kept, kept, new]
    assert make() == [kept] * 3
    # What changes a number makes a run new: options, the CRF, the weights, the config.
    assert make(limit=1) == [new] * 3
    assert make(crf_preset='deeplab_v1') == [kept, kept, new]
    assert make(cfg_options={'tta_model.fusion': 'mean'}) == [kept, new, new]
    pair = (str(project / 'config.py'), str(project / 'other.pth'))
    assert make() == [new] * 3


def test_several_side_by_side(project: Path, tmp_path: Path, tested: list[Config]) -> None:
    pairs = [(str(project / name), str(project / weights)) for name, weights in [
        ('config.py', 'weights.pth'), ('config.py', 'other.pth'), ('stock.py', 'stock.pth')]]
    rows = make_report(pairs, tmp_path, widths=[1, 3], absent='zero', images=0,
                       say=lambda _: None)
    assert {cfg.test_evaluator.absent_classes for cfg in tested} == {'zero'}
    assert list(rows) == ['config weights', 'config other', 'stock']
    assert list(rows['stock']) == ['single scale', 'ms', 'ms-crf']
    with open(tmp_path / 'report.csv', newline='') as file:
        heading, *lines = csv.reader(file)
    assert heading[11] == 'config other: mIoU'
    assert [line[0] for line in lines] == [*ROWS[:4], 'single scale', *ROWS[4:]]
    assert lines[0][21:] == ['-'] * 10
    assert lines[4][1:21] == ['-'] * 20
    assert lines[4][21] == f'{rows["stock"]["single scale"].miou:.2f}'
    assert (rows['config weights']['4x'].miou, rows['config other']['4x'].miou) == (10, 40)
    assert 'ground truth count as 0' in (tmp_path / 'report.md').read_text()
    assert {path.name for path in tmp_path.glob('trimap_*.png')} == {
        'trimap_config_weights.png', 'trimap_config_other.png', 'trimap_stock.png'}
