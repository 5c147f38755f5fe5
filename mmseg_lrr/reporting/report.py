# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The poster's table of results, from checkpoints: every level, multi-scale, and with a CRF."""

import csv
import datetime
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict

from mmseg_lrr.apis.testing import configure_test, crf_config, default_crf, run_test
from mmseg_lrr.evaluation.image_areas import fineness
from mmseg_lrr.evaluation.metrics.boundary_metrics import ABSENT_CLASSES, absent_classes_text
from mmseg_lrr.files import replacing
from mmseg_lrr.version import __version__
from mmseg_lrr.visualization.plots import plot_bases, plot_trimap_curves, write_trimap_csv

from .examples import (
    MULTI_SCALE,
    MULTI_SCALE_CRF,
    SINGLE_SCALE,
    ExampleMaker,
    checkpoint_bases,
    has_levels,
)
from .page import PageModel, report_page

#: The scores near boundaries: option of the metric and field of a row -> name of the result.
_NEAR_BOUNDARIES = {
    'trimap': 'trimap_mIoU', 'boundary_iou': 'boundary_mIoU', 'boundary_f': 'boundary_mF'}


def _texts(scores: Iterable[float | None]) -> list[str]:
    return ['-' if score is None else f'{score:.2f}' for score in scores]


@dataclass(frozen=True)
class Row:
    """One row of one model: scores in percent, by width near boundaries; IoU by class; or None."""

    miou: float | None
    aacc: float | None
    macc: float | None
    trimap: dict[int, float | None]
    boundary_iou: dict[int, float | None]
    boundary_f: dict[int, float | None]
    classes: dict[str, float | None]
    seconds_per_image: float

    def cells(self) -> list[str]:
        """Return the numbers as text."""
        near = (self.trimap, self.boundary_iou, self.boundary_f)
        scores = _texts([self.miou, self.aacc, self.macc, *(s for by in near for s in by.values())])
        return [*scores, f'{self.seconds_per_image:.3g}']


@dataclass(frozen=True)
class Model:
    """A network to report: its config and checkpoint, and its CRF's config."""

    name: str
    cfg: Config
    checkpoint: Path
    sha256: str
    crf: dict


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
    ``out`` receives ``report.md``, ``report.csv`` and ``report.json``, rewritten after every run;
    for each model ``trimap_<model>.csv``, which has all scores near boundaries, their plots
    ``trimap_<model>.png``, ``boundary_iou_<model>.png`` and ``boundary_f_<model>.png``, and
    ``bases_<model>.png``; at the end ``report.html``, one file that holds all of this and some
    images. ``runs.json`` keeps what was
    measured: a run of the same config, checkpoint and options is not repeated, so an interrupted
    report goes on where it was. It does not notice changes in the images or labels.

    Args:
        pairs: Config files and checkpoint files.
        out: Folder.
        widths: Widths in pixels of the trimap, and the distances of the boundary measures.
        crf_preset: Name of the CRF's settings; None for those that the config names, see
            :func:`~mmseg_lrr.apis.testing.default_crf`.
        absent: ``'skip'`` or ``'zero'``: what a class counts as that is in neither prediction nor
            ground truth.
        limit: Test this many images, the first ones; None for all.
        images: How many of the tested images the page shows, evenly spaced.
        cfg_options: Settings to override in every config.
        say: Receives one line before each run.

    Returns:
        Model's name -> row's name -> numbers.
    """
    out = Path(out)
    options = dict(widths=sorted(widths), absent=absent, limit=limit)
    models = _models(pairs, crf_preset, cfg_options)
    record = out / 'runs.json'
    runs = json.loads(record.read_text()) if record.is_file() else {}
    rows: dict[str, dict[str, Row]] = {model.name: {} for model in models}
    counted: dict[str, int] = {}
    for model in models:
        for kind in (SINGLE_SCALE, MULTI_SCALE, MULTI_SCALE_CRF):
            cfg = configure_test(model.cfg, tta=kind != SINGLE_SCALE,
                                 crf=model.crf if kind == MULTI_SCALE_CRF else None)
            _set_up(cfg, options, out)
            key = _fingerprint(cfg, model.sha256)
            kept = key in runs
            say(f'{model.name}, {kind}: {"kept from an earlier run" if kept else "testing"}')
            if not kept:
                result = run_test(cfg, str(model.checkpoint))
                # A mean over nothing is NaN, which JSON does not know.
                runs[key] = {**asdict(result), 'metrics': {
                    name: None if math.isnan(value) else float(value)
                    for name, value in result.metrics.items()}}
                _write(record, json.dumps(runs, indent=2) + '\n')
            counted[model.name] = runs[key]['num_images']
            rows[model.name] |= _rows(kind, runs[key], options['widths'])
            notes = _notes(models, counted, options)
            _write_tables(out, models, rows, notes, options)
    pages = [_page_model(out, model, rows[model.name], images, limit) for model in models]
    _write(out / 'report.html', report_page(
        _title(models), _columns(options['widths']), _row_names(rows), pages, notes))
    return rows


def _models(pairs: Sequence[tuple[str, str]], crf_preset: str | None,
            cfg_options: dict | None) -> list[Model]:
    # The shortest name that no other has.
    names = [(Path(config).stem, f'{Path(config).stem} {Path(checkpoint).stem}',
              f'{config} {checkpoint}') for config, checkpoint in pairs]
    models = []
    for (config, checkpoint), own in zip(pairs, names, strict=True):
        unique = (name for name in own if sum(name in others for others in names) == 1)
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(cfg_options or {})
        models.append(Model(
            next(unique, own[-1]), cfg, Path(checkpoint),
            hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
            default_crf(cfg) if crf_preset is None else crf_config(crf_preset)))
    return models


def _set_up(cfg: Config, options: dict, out: Path) -> None:
    """Make a config measure what the table shows."""
    evaluator = cfg.test_evaluator if isinstance(cfg.test_evaluator, dict) else {}
    cfg.test_evaluator = ConfigDict(
        type='LRRIoUMetric', iou_metrics=['mIoU'], details=True, absent_classes=options['absent'],
        ignore_index=evaluator.get('ignore_index', 255),
        **{option: dict(widths=options['widths']) for option in _NEAR_BOUNDARIES})
    if (cfg.model.type in ('LRREncoderDecoder', 'LRRCascadeEncoderDecoder')
            and has_levels(cfg.model)):
        cfg.model.test_cfg = ConfigDict({**cfg.model.get('test_cfg', {}), 'level_outputs': True})
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


def _rows(kind: str, run: dict, widths: Sequence[int]) -> dict[str, Row]:
    """The rows that a run gives: those of the levels, where there are any, or its own."""
    metrics = run['metrics']
    levels = [name.removeprefix('mIoU') for name in metrics if name.startswith('mIoU_')]
    return {
        suffix[1:] or kind: Row(
            *(metrics[f'{name}{suffix}'] for name in ('mIoU', 'aAcc', 'mAcc')),
            classes={name.partition('/')[2]: score for name, score in metrics.items()
                     if name.startswith(f'IoU{suffix}/')},
            seconds_per_image=run['seconds_per_image'],
            **{field: {width: metrics[f'{name}@{width}{suffix}'] for width in widths}
               for field, name in _NEAR_BOUNDARIES.items()})
        for suffix in levels or ['']
    }


def _row_names(rows: dict[str, dict[str, Row]]) -> list[str]:
    """The rows of all models: levels coarse to fine, then the others."""
    others = [SINGLE_SCALE, MULTI_SCALE, MULTI_SCALE_CRF]
    found = {row for model in rows.values() for row in model}
    levels = sorted(found - set(others), key=fineness)
    return levels + [row for row in others if row in found]


def _columns(widths: Sequence[int]) -> list[str]:
    return ['mIoU', 'aAcc', 'mAcc', *(f'{name.replace("_", " ")}, {width} px'
                      for name in _NEAR_BOUNDARIES.values() for width in widths), 's/image']


def _title(models: Sequence[Model]) -> str:
    """Networks, what they were tested on, and today."""
    datasets = [model.cfg.test_dataloader.dataset for model in models]
    data = {' '.join(filter(None, (dataset.type, dataset.get('ann_file') or dataset.get(
        'data_prefix', {}).get('img_path')))): None for dataset in datasets}
    return (f'{", ".join(model.name for model in models)} on {", ".join(data)}, '
            f'{datetime.date.today().isoformat()}')


def _notes(models: Sequence[Model], counted: dict[str, int], options: dict) -> list[str]:
    """What the numbers mean."""
    device = (torch.cuda.get_device_name() if torch.cuda.is_available()
              else f'CPU, threads: {torch.get_num_threads()}')
    limited = '' if options['limit'] is None else f' (limited to the first {options["limit"]})'
    notes = [
        'Mean IoU in percent; '
        f'{absent_classes_text(ABSENT_CLASSES[options["absent"]])}.',
        'aAcc: pixels that are right; mAcc: the same of each class, averaged.',
        'trimap mIoU, w px: of the pixels less than w from a boundary of the ground truth.',
        'boundary mIoU, w px: Boundary IoU, of the pixels of a class at most w from another class '
        'in the same map. boundary mF, w px: F score of the boundary pixels of a class; one is '
        'right if the other map has one at most w away.',
        'ms: multi-scale, as tta_model and tta_pipeline of the config say; ms-crf: with the CRF '
        'after it.',
        's/image: wall-clock time of the test run over the number of images, loading and metrics '
        f'included, on {device}. The rows of the levels come from one run.',
    ]
    for model in models:
        crf = ', '.join(f'{name}={value}' for name, value in model.crf.items() if name != 'type')
        notes.append(
            f'{model.name}: images: {counted.get(model.name, 0)}{limited}; checkpoint '
            f'{model.checkpoint.name} (sha256 {model.sha256[:16]}...); {model.crf["type"]}({crf}).')
    return notes


def _write_tables(out: Path, models: Sequence[Model], rows: dict[str, dict[str, Row]],
                  notes: Sequence[str], options: dict) -> None:
    columns, order = _columns(options['widths']), _row_names(rows)
    table = [['output', *(f'{name}: {column}' if len(rows) > 1 else column
                          for name in rows for column in columns)]]
    table += [[row, *(cell for model in rows.values() for cell in (
        model[row].cells() if row in model else ['-'] * len(columns)))] for row in order]

    lines = ['| ' + ' | '.join(line) + ' |' for line in (
        table[0], ['---'] + ['---:'] * (len(table[0]) - 1), *table[1:])]
    _write(out / 'report.md', '\n'.join([*lines, '', *(f'- {note}' for note in notes), '']))

    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(table)
    _write(out / 'report.csv', text.getvalue())

    _write(out / 'report.json', json.dumps({
        'options': options,
        'notes': notes,
        'models': {model.name: {
            'checkpoint': model.checkpoint.name, 'sha256': model.sha256, 'crf': model.crf,
            'rows': {row: asdict(rows[model.name][row])
                     for row in order if row in rows[model.name]},
        } for model in models},
    }, indent=2) + '\n')


def _page_model(out: Path, model: Model, rows: dict[str, Row], images: int, limit: int | None
                ) -> PageModel:
    """Write a model's plots; run its images through the network once more, for the page."""
    file_name = re.sub(r'[^A-Za-z0-9._-]+', '_', model.name)
    grid = out / f'bases_{file_name}.png'
    plots, measures = {}, {}
    for field, name in _NEAR_BOUNDARIES.items():
        curves = measures[name.removeprefix('trimap_')] = {
            row: {width: math.nan if score is None else score
                  for width, score in getattr(rows[row], field).items()}
            for row in _row_names({model.name: rows})}
        path = plots[f'{name.replace("_", " ")}, {model.name}'] = out / f'{field}_{file_name}.png'
        plot_trimap_curves(path, curves, model.name, name.removeprefix('trimap_'))
    write_trimap_csv(out / f'trimap_{file_name}.csv', measures)
    shown, classes, palette = [], [], []
    if images:
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        maker = ExampleMaker(model.cfg, model.checkpoint, device=device, crf=model.crf, masks=[])
        classes, palette = maker.classes, maker.palette
        shown = [maker.make(info) for info in maker.test_set(images, limit)]
        for level, bases in list(checkpoint_bases(model.checkpoint).items())[:1]:
            plot_bases(grid, bases, classes, f'{model.name}: basis functions of {level}')
            plots[f'basis functions, {model.name}'] = grid
    by_class = {row: _texts(numbers.classes.values()) for row, numbers in rows.items()}
    names = list(next(iter(rows.values())).classes)
    return PageModel(model.name, {name: row.cells() for name, row in rows.items()}, plots, shown,
                     classes, palette, names, by_class)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
