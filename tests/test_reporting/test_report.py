# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The table: every cell is that of the test run it names; interrupted, it goes on."""

import csv
import json
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

from mmseg_lrr.apis import report
from mmseg_lrr.apis.report import make_report, parse_pairs
from mmseg_lrr.apis.testing import crf_config, evaluate

from ..small_segmentors import stock_config
from .small_project import config, make_project, save_weights

ROWS = ['32x', '16x', '8x', '4x', 'ms', 'ms-crf']
WIDTHS = (3, 1)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of one config, and a network without levels."""
    folder = make_project(tmp_path_factory.mktemp('project'))
    cfg = config(folder)
    # The report asks for the levels by itself.
    cfg.model.test_cfg.level_outputs = False
    cfg.dump(folder / 'config.py')
    save_weights(cfg, folder / 'other.pth', seed=1)
    stock = config(folder, {**stock_config(), 'type': 'LRREncoderDecoder'})
    stock.dump(folder / 'stock.py')
    save_weights(stock, folder / 'stock.pth')
    return folder


@pytest.fixture(scope='module')
def made(project: Path) -> tuple[Path, dict]:
    """A report of one checkpoint."""
    out = project / 'report'
    return out, make_report([(str(project / 'config.py'), str(project / 'weights.pth'))], out,
                            widths=WIDTHS, say=lambda _: None)


def expected_rows(project: Path, absent: str = 'skip') -> dict[str, list[float]]:
    """mIoU and the bands' mIoU of every row, from test runs of their own."""
    cfg = Config.fromfile(project / 'config.py')
    cfg.model.test_cfg.level_outputs = True
    cfg.test_evaluator.update(trimap=dict(widths=[1, 3]), absent_classes=absent)
    cfg.work_dir = str(project / 'expected')
    weights = str(project / 'weights.pth')
    single = evaluate(cfg, weights)
    rows = {level: [single[f'{name}_{level}'] for name in (
        'mIoU', 'trimap_mIoU@1', 'trimap_mIoU@3')] for level in ROWS[:4]}
    for row, crf in (('ms', None), ('ms-crf', crf_config())):
        metrics = evaluate(cfg, weights, tta=True, crf=crf)
        rows[row] = [metrics[name] for name in ('mIoU', 'trimap_mIoU@1', 'trimap_mIoU@3')]
    return rows


def test_every_cell(project: Path, made: tuple) -> None:
    out, rows = made
    expected = expected_rows(project)
    assert list(rows) == ['config']
    assert sorted(rows['config']) == sorted(ROWS)
    assert len({tuple(figures) for figures in expected.values()}) == 6

    with open(out / 'report.csv', newline='') as file:
        heading, *lines = csv.reader(file)
    assert heading == ['output', 'mIoU', 'trimap mIoU, 1 px', 'trimap mIoU, 3 px', 's/image']
    assert [line[0] for line in lines] == ROWS
    content = json.loads((out / 'report.json').read_text())
    saved = content['models']['config']['rows']
    assert list(saved) == ROWS
    markdown = (out / 'report.md').read_text().splitlines()
    assert markdown[0] == '| ' + ' | '.join(heading) + ' |'
    for number, (name, *cells, seconds) in enumerate(lines):
        figures = expected[name]
        assert cells == [f'{figure:.2f}' for figure in figures]
        assert markdown[2 + number] == '| ' + ' | '.join([name, *cells, seconds]) + ' |'
        row = rows['config'][name]
        assert [row.miou, row.trimap[1], row.trimap[3]] == figures
        assert saved[name] == {
            'miou': row.miou, 'trimap': {'1': row.trimap[1], '3': row.trimap[3]},
            'seconds_per_image': row.seconds_per_image}
        assert row.seconds_per_image > 0
    # The levels come from one run.
    assert len({rows['config'][name].seconds_per_image for name in ROWS}) == 3

    with open(out / 'trimap_config.csv', newline='') as file:
        curves = list(csv.reader(file))
    assert curves == [['width', 'level', 'mIoU']] + [
        [str(width), name, str(rows['config'][name].trimap[width])]
        for name in ROWS for width in (1, 3)]
    assert cv2.imread(str(out / 'trimap_config.png')).shape == (720, 960, 3)
    assert not list(out.rglob('.*.part'))


def test_page_holds_the_table_and_the_images(project: Path, made: tuple) -> None:
    out, rows = made
    page = (out / 'report.html').read_text()
    for name, row in rows['config'].items():
        assert f'<tr><th>{name}</th>' in page
        assert f'>{row.miou:.2f}</td>' in page and f'>{row.trimap[3]:.2f}</td>' in page
    # Outputs are called as in the table.
    for name in ROWS:
        assert f'<button type="button" data-output="{name}">' in page
    assert page.count('class="card"') == 3 and page.count('class="layer mask"') == 9
    # No training has left a log here.
    assert page.count('data:image/svg+xml') == 1


def test_notes_say_what_was_counted(project: Path, made: tuple) -> None:
    out, _ = made
    text = (out / 'report.md').read_text()
    assert 'classes absent from both prediction and ground truth are skipped' in text
    assert 'config: 3 images; checkpoint weights.pth' in text
    assert 'DenseCRF(preset=deeplab_v2_vgg16)' in text
    assert "boundaries='labels'" in text


def test_interrupted_it_goes_on(project: Path, tmp_path: Path,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (str(project / 'config.py'), str(project / 'weights.pth'))
    run, calls = report.run_test, []

    def stop_at_the_crf(cfg: Config, checkpoint: str) -> object:
        calls.append(cfg.model.type)
        if cfg.model.get('crf'):
            raise KeyboardInterrupt
        return run(cfg, checkpoint)

    def make(**options) -> list[str]:
        said: list[str] = []
        make_report([pair], tmp_path, **{
            'widths': [1], 'limit': 2, 'images': 0, 'say': said.append, **options})
        return [line.rsplit(': ', 1)[1] for line in said]

    monkeypatch.setattr(report, 'run_test', stop_at_the_crf)
    with pytest.raises(KeyboardInterrupt):
        make()
    assert calls == ['LRREncoderDecoder', 'LRRTTAModel', 'LRRTTAModel']
    # What there is can be read.
    assert list(json.loads((tmp_path / 'report.json').read_text())['models']['config']['rows']) == (
        ROWS[:5])
    assert 'config: 2 images (limited to the first 2)' in (tmp_path / 'report.md').read_text()

    monkeypatch.setattr(report, 'run_test', run)
    kept, new = 'kept from an earlier run', 'testing'
    assert make() == [kept, kept, new]
    assert make() == [kept] * 3
    # What changes a figure makes a run new: options, the CRF, the weights, the config.
    assert make(limit=1) == [new] * 3
    assert make(crf_preset='deeplab_v1') == [kept, kept, new]
    assert make(cfg_options={'tta_model.fusion': 'mean'}) == [kept, new, new]
    pair = (str(project / 'config.py'), str(project / 'other.pth'))
    assert make() == [new] * 3


def test_several_side_by_side_and_absent_classes(project: Path, tmp_path: Path) -> None:
    pairs = [(str(project / name), str(project / weights)) for name, weights in [
        ('config.py', 'weights.pth'), ('config.py', 'other.pth'), ('stock.py', 'stock.pth')]]
    rows = make_report(pairs, tmp_path, widths=[1, 3], absent='zero', say=lambda _: None)
    names = ['config weights', 'config other', 'stock']
    assert list(rows) == names
    assert list(rows['stock']) == ['single scale', 'ms', 'ms-crf']
    with open(tmp_path / 'report.csv', newline='') as file:
        heading, *lines = csv.reader(file)
    assert heading[1:5] == [f'config weights: {name}' for name in (
        'mIoU', 'trimap mIoU, 1 px', 'trimap mIoU, 3 px', 's/image')]
    assert [line[0] for line in lines] == [*ROWS[:4], 'single scale', *ROWS[4:]]
    assert lines[0][9:] == ['-'] * 4
    assert lines[4][1:9] == ['-'] * 8 and lines[4][9] == f'{rows["stock"]["single scale"].miou:.2f}'
    expected = expected_rows(project, absent='zero')
    for name in ROWS:
        row = rows['config weights'][name]
        assert [row.miou, row.trimap[1], row.trimap[3]] == expected[name]
    assert rows['config other']['4x'] != rows['config weights']['4x']
    assert 'ground truth count as 0' in (tmp_path / 'report.md').read_text()
    assert {path.name for path in tmp_path.glob('trimap_*.png')} == {
        'trimap_config_weights.png', 'trimap_config_other.png', 'trimap_stock.png'}


def test_pairs_are_read() -> None:
    assert parse_pairs(['a.py', 'b.pth']) == [('a.py', 'b.pth')]
    assert parse_pairs(['a.py:b.pth']) == [('a.py', 'b.pth')]
    assert parse_pairs(['c/a.py:C:/b.pth', 'd.json:e:f.pth']) == [
        ('c/a.py', 'C:/b.pth'), ('d.json', 'e:f.pth')]
    for what in (['a.py'], ['a.py', 'b.pth', 'c.pth'], ['a.py:b.pth', 'c.py']):
        with pytest.raises(ValueError, match='expected CONFIG CHECKPOINT, or any number of'):
            parse_pairs(what)


@pytest.mark.parametrize('options, message', [
    (dict(widths=[0]), r'widths\[0\] must be an integer >= 1, got 0'),
    (dict(absent='nan'), "absent must be one of 'skip', 'zero', got 'nan'"),
    (dict(limit=0), 'limit must be an integer >= 1, got 0'),
    (dict(crf_preset='crf'), "CRF preset must be one of 'kraehenbuehl'"),
])
def test_bad_options_are_refused(project: Path, tmp_path: Path, options: dict,
                                 message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_report([(str(project / 'config.py'), str(project / 'weights.pth'))],
                    tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_missing_or_doubled_input_is_refused(project: Path, tmp_path: Path) -> None:
    pair = (str(project / 'config.py'), str(project / 'weights.pth'))
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        make_report([(pair[0], str(project / 'gone.pth'))], tmp_path)
    with pytest.raises(ValueError, match="would be reported twice as 'config weights'"):
        make_report([pair, pair], tmp_path)
    with pytest.raises(ValueError, match='nothing to report'):
        make_report([], tmp_path)
    (tmp_path / 'runs.json').write_text('[1')
    with pytest.raises(ValueError, match='runs.json is not a record of runs .* remove it'):
        make_report([pair], tmp_path)
