# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The poster's table of results, from checkpoints: every level, multi-scale, and with a CRF."""

import copy
import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict

from mmseg_lrr.evaluation.metrics.trimap_iou_metric import ABSENT_CLASSES, absent_classes_text
from mmseg_lrr.evaluation.trimap_curve import plot_trimap_curves, write_trimap_csv
from mmseg_lrr.ops import checks
from mmseg_lrr.replacing import replacing
from mmseg_lrr.version import __version__
from mmseg_lrr.visualization import Example
from mmseg_lrr.visualization.report_page import PageModel, report_page
from mmseg_lrr.visualization.training_log import read_training_log

from . import examples
from .testing import TestResult, configure_test, crf_config, default_crf, run_test

#: Rows below the levels'.
MULTI_SCALE, MULTI_SCALE_CRF = 'ms', 'ms-crf'

#: Row of a network that has no levels.
SINGLE_SCALE = examples.SINGLE_SCALE

_NO_FIGURE = '-'


@dataclass(frozen=True)
class Row:
    """One row of one model.

    Attributes:
        miou: Mean IoU in percent; None where no pixel counts.
        trimap: Width in pixels -> mean IoU in percent within the band of that width; None where
            no pixel counts.
        seconds_per_image: Wall-clock time of the test run it comes from, over the number of
            images.
    """

    miou: float | None
    trimap: dict[int, float | None]
    seconds_per_image: float


@dataclass(frozen=True)
class Model:
    """A network to report.

    Attributes:
        name: Heading of its columns.
        cfg: Its config, set up by the report.
        checkpoint: File.
        sha256: Of the checkpoint.
        crf: Config of its CRF.
    """

    name: str
    cfg: Config
    checkpoint: str
    sha256: str
    crf: dict


def parse_pairs(what: Sequence[str]) -> list[tuple[str, str]]:
    """Read a config and a checkpoint, or any number of ``CONFIG:CHECKPOINT``.

    Raises:
        ValueError: The words are neither.
    """
    pairs = [re.fullmatch(r'(.+?\.(?:py|json|ya?ml)):(.+)', word) for word in what]
    if all(pairs):
        return [(pair[1], pair[2]) for pair in pairs]
    if len(what) == 2 and not any(pairs):
        return [(what[0], what[1])]
    raise ValueError('expected CONFIG CHECKPOINT, or any number of CONFIG:CHECKPOINT, got '
                     + ' '.join(what))


def make_report(
    pairs: Sequence[tuple[str, str]],
    out: str | Path,
    *,
    widths: Sequence[int] = (1, 3, 5, 10),
    crf_preset: str | None = None,
    absent: str = 'skip',
    limit: int | None = None,
    images: int = 4,
    cfg_options: dict | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, Row]]:
    """Test checkpoints in every way of the poster's table and write it.

    A single pass gives the levels' rows; multi-scale and multi-scale with the CRF are a run each.
    In ``out`` appear ``report.md``, ``report.csv`` and ``report.json``, rewritten after every run,
    and for each model ``trimap_<model>.csv`` and ``trimap_<model>.png`` (mean IoU against the width
    of the band, one line a row). ``runs.json`` keeps what was measured; a run of the same config,
    checkpoint and options is not repeated, so an interrupted report goes on where it was. It does
    not notice changes in the images or labels. Last comes ``report.html``, one file that holds all
    of this, the training curves where a checkpoint's folder has a log, and some images.

    Args:
        pairs: Config files and checkpoint files; each pair becomes a group of columns.
        out: Folder.
        widths: Of the bands around the boundaries of the ground truth, in pixels.
        crf_preset: Name of the CRF's settings; None: those of the config's ``tta_model``, or
            :data:`~mmseg_lrr.apis.testing.DEFAULT_CRF_PRESET` where it has none.
        absent: ``'skip'`` or ``'zero'``: what a class that is in neither prediction nor ground
            truth counts as.
        limit: Test the first images only, this many; None for all.
        images: How many of the tested images the page shows, evenly spaced.
        cfg_options: Settings to override in every config.
        say: Takes one line before each run.

    Returns:
        Model's name -> row's name -> figures.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: An option is wrong, or ``runs.json`` is not a record of runs.
    """
    out = Path(out)
    options = {
        'widths': sorted(checks.integers('widths', widths, minimum=1)),
        'absent': checks.one_of('absent', absent, ABSENT_CLASSES),
        'limit': None if limit is None else checks.integer('limit', limit, 1),
    }
    checks.integer('images', images, 0)
    models = _models(pairs, crf_preset, cfg_options)
    runs = _read_runs(out / 'runs.json')
    results: dict[str, dict[str, TestResult]] = {model.name: {} for model in models}
    rows: dict[str, dict[str, Row]] = {model.name: {} for model in models}
    for model in models:
        for kind in ('single', MULTI_SCALE, MULTI_SCALE_CRF):
            cfg = configure_test(
                model.cfg, tta=kind != 'single', crf=model.crf if kind == MULTI_SCALE_CRF else None)
            _set_up(cfg, options, out)
            key = _fingerprint(cfg, model.sha256)
            if key in runs:
                say(f'{model.name}, {kind}: kept from an earlier run')
            else:
                say(f'{model.name}, {kind}: testing')
                runs[key] = _plain(run_test(cfg, model.checkpoint))
                _write(out / 'runs.json', _json(runs))
            results[model.name][kind] = TestResult(**runs[key])
            rows[model.name] = _rows(results[model.name], options['widths'])
            _write_tables(out, models, rows, results, options)
        _write_curves(out, model.name, rows[model.name])
    pages = [_page_model(model, rows[model.name], options, images) for model in models]
    _write(out / 'report.html', report_page(
        'LRR: results', _columns(options['widths']), _row_names(rows), pages,
        _notes(models, results, options)))
    return rows


def _models(pairs: Sequence[tuple[str, str]], crf_preset: str | None,
            cfg_options: dict | None) -> list[Model]:
    if not pairs:
        raise ValueError('there is nothing to report: no config and checkpoint were given')
    crf = None if crf_preset is None else crf_config(crf_preset)
    stems = [(Path(config).stem, Path(checkpoint).stem) for config, checkpoint in pairs]
    models = []
    for (config, checkpoint), (name, checkpoint_name) in zip(pairs, stems, strict=True):
        if sum(stem == name for stem, _ in stems) > 1:
            name = f'{name} {checkpoint_name}'
        if any(model.name == name for model in models):
            raise ValueError(f'{config} and {checkpoint} would be reported twice as {name!r}')
        cfg = Config.fromfile(config)
        if cfg_options:
            cfg.merge_from_dict(copy.deepcopy(cfg_options))
        digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
        used = crf or default_crf(cfg)
        models.append(Model(name, cfg, str(checkpoint), digest, used))
    return models


def _set_up(cfg: Config, options: dict, out: Path) -> None:
    """Make a config measure what the table shows."""
    evaluator = cfg.test_evaluator if isinstance(cfg.test_evaluator, dict) else {}
    cfg.test_evaluator = ConfigDict(
        type='LRRIoUMetric', iou_metrics=['mIoU'], absent_classes=options['absent'],
        ignore_index=evaluator.get('ignore_index', 255),
        trimap=dict(widths=list(options['widths'])))
    if cfg.model.type == 'LRREncoderDecoder' and cfg.model.decode_head.type == 'LRRHead':
        cfg.model.test_cfg = ConfigDict(**{**cfg.model.get('test_cfg', {}), 'level_outputs': True})
    if options['limit'] is not None:
        cfg.test_dataloader.dataset.indices = options['limit']
    cfg.work_dir = str(out / 'logs')
    cfg.log_level = 'WARNING'
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='ProgressBarHook')]


def _fingerprint(cfg: Config, sha256: str) -> str:
    """Identify a run: what of its config testing reads, its weights, this version."""
    parts = ('model', 'test_dataloader', 'test_evaluator', 'test_cfg')
    settings = {name: value for name, value in cfg.to_dict().items() if name in parts}
    text = json.dumps([settings, sha256, __version__], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(result: TestResult) -> dict:
    """Turn a result into what JSON knows; a mean over nothing becomes None."""
    record = asdict(result)
    record['metrics'] = {
        name: None if math.isnan(value) else float(value)
        for name, value in result.metrics.items()
    }
    return record


def _read_runs(path: Path) -> dict[str, dict]:
    if not path.is_file():
        return {}
    try:
        runs = json.loads(path.read_text())
        for run in runs.values():
            TestResult(**run)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a record of runs ({error}); remove it to start anew'
                         ) from error
    return runs


def _rows(results: dict[str, TestResult], widths: Sequence[int]) -> dict[str, Row]:
    """The rows of a model from its runs."""
    rows = {}
    for kind, result in results.items():
        if kind != 'single':
            outputs = {kind: ''}
        else:
            levels = [name.removeprefix('mIoU_') for name in result.metrics
                      if name.startswith('mIoU_')]
            outputs = {level: f'_{level}' for level in levels} or {SINGLE_SCALE: ''}
        for row, suffix in outputs.items():
            rows[row] = Row(
                result.metrics[f'mIoU{suffix}'],
                {width: result.metrics[f'trimap_mIoU@{width}{suffix}'] for width in widths},
                result.seconds_per_image)
    return rows


def _row_order(row: str) -> tuple[int, int]:
    """Levels coarse to fine, then the others."""
    stride = re.fullmatch(r'(\d+)x', row)
    if stride:
        return 0, -int(stride[1])
    return 1, (SINGLE_SCALE, MULTI_SCALE, MULTI_SCALE_CRF).index(row)


def _row_names(rows: dict[str, dict[str, Row]]) -> list[str]:
    return sorted({row for model in rows.values() for row in model}, key=_row_order)


def _columns(widths: Sequence[int]) -> list[str]:
    return ['mIoU', *(f'trimap mIoU, {width} px' for width in widths), 's/image']


def _cells(row: Row | None, widths: Sequence[int]) -> list[str]:
    """A row's figures as text, one for each column."""
    if row is None:
        return [_NO_FIGURE] * (len(widths) + 2)
    figures = [row.miou, *(row.trimap[width] for width in widths)]
    cells = [_NO_FIGURE if value is None else f'{value:.2f}' for value in figures]
    return [*cells, f'{row.seconds_per_image:.3g}']


def _table(rows: dict[str, dict[str, Row]], widths: Sequence[int]) -> list[list[str]]:
    """Heading and lines, as text."""
    several = len(rows) > 1
    heading = ['output']
    for name in rows:
        prefix = f'{name}: ' if several else ''
        heading += [f'{prefix}{column}' for column in _columns(widths)]
    return [heading] + [
        [row, *(cell for model in rows.values() for cell in _cells(model.get(row), widths))]
        for row in _row_names(rows)]


def _counted(number: int, thing: str) -> str:
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'


def _notes(models: Sequence[Model], results: dict[str, dict[str, TestResult]],
           options: dict) -> list[str]:
    """What the figures mean."""
    device = (torch.cuda.get_device_name() if torch.cuda.is_available()
              else f'CPU, {_counted(torch.get_num_threads(), "thread")}')
    limited = '' if options['limit'] is None else f' (limited to the first {options["limit"]})'
    notes = [
        'Mean IoU in percent; '
        f'{absent_classes_text(ABSENT_CLASSES[options["absent"]])}.',
        'trimap mIoU, w px: within the band of width w around the boundaries of the labels '
        "(boundaries='labels').",
        'ms: multi-scale, as tta_model and tta_pipeline of the config say; ms-crf: with the CRF '
        'after it.',
        'Seconds an image: wall-clock time of the test run over the number of images, loading and '
        f'metrics included, on {device}. The rows of the levels come from one run.',
    ]
    for model in models:
        images = {run.num_images for run in results[model.name].values()}
        counted = (', '.join(_counted(number, 'image') for number in sorted(images)) + limited
                   if images else 'no run')
        crf = ', '.join(f'{name}={value}' for name, value in model.crf.items() if name != 'type')
        notes.append(
            f'{model.name}: {counted}; checkpoint {Path(model.checkpoint).name} (sha256 '
            f'{model.sha256[:16]}...); {model.crf["type"]}({crf}).')
    return notes


def _write_tables(out: Path, models: Sequence[Model], rows: dict[str, dict[str, Row]],
                  results: dict[str, dict[str, TestResult]], options: dict) -> None:
    table = _table(rows, options['widths'])
    notes = _notes(models, results, options)
    cells = [[cell.replace('|', r'\|') for cell in line] for line in table]
    rule = ['---'] + ['---:'] * (len(table[0]) - 1)
    lines = ['| ' + ' | '.join(line) + ' |' for line in [cells[0], rule, *cells[1:]]]
    _write(out / 'report.md', '\n'.join([*lines, '', *(f'- {note}' for note in notes), '']))

    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(table)
    _write(out / 'report.csv', text.getvalue())

    _write(out / 'report.json', _json({
        'options': options,
        'notes': notes,
        'models': {
            model.name: {
                'checkpoint': Path(model.checkpoint).name,
                'sha256': model.sha256,
                'crf': model.crf,
                'rows': {
                    name: asdict(row)
                    for name, row in sorted(rows[model.name].items(),
                                            key=lambda item: _row_order(item[0]))
                },
            }
            for model in models
        },
    }))


def _curves(rows: dict[str, Row]) -> dict[str, dict[int, float]]:
    return {
        row: {width: math.nan if score is None else score
              for width, score in rows[row].trimap.items()}
        for row in sorted(rows, key=_row_order)
    }


def _write_curves(out: Path, name: str, rows: dict[str, Row]) -> None:
    curves = _curves(rows)
    file_name = 'trimap_' + re.sub(r'[^A-Za-z0-9._-]+', '_', name)
    write_trimap_csv(out / f'{file_name}.csv', curves)
    plot_trimap_curves(out / f'{file_name}.png', curves, name)


def _page_model(model: Model, rows: dict[str, Row], options: dict, images: int) -> PageModel:
    """What the page shows of a model; the images go through its network once more."""
    shown, classes, palette = [], [], []
    if images:
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        maker = examples.ExampleMaker(
            model.cfg, model.checkpoint, device=device, crf=model.crf, masks=[])
        classes, palette = maker.classes, maker.palette
        shown = [_as_rows(maker.make(info))
                 for info in maker.test_set(images, options['limit'])]
    return PageModel(
        model.name, {name: _cells(row, options['widths']) for name, row in rows.items()},
        _curves(rows), read_training_log(Path(model.checkpoint).parent), shown, classes,
        palette)


def _as_rows(example: Example) -> Example:
    """Name an example's outputs as the table's rows."""
    return replace(example, predictions={
        MULTI_SCALE_CRF if name == examples.MULTI_SCALE_CRF else name: labels
        for name, labels in example.predictions.items()
    })


def _json(content: object) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + '\n'


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
