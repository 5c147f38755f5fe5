# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The files that a tool is going to read, looked for before it starts."""

import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

_PAGE = 'docs/recipes.md, "1. Data"'
#: Label maps that tools/prepare_data.py makes, by their folder: its command, and their names.
_PREPARED = {
    'SegmentationClassAug': ('voc {} data/benchmark_RELEASE', '*.png'),
    'SegmentationClassVOC': ('coco {}', '*.png'),
    'gtFine': ('cityscapes {}', '*_labelTrainIds.png'),
    'gtCoarse': ('cityscapes {}', '*_labelTrainIds.png'),
}


def need_files(cfg: Config, *loaders: str, **checkpoints: str | None) -> None:
    """End the tool with one line if a file that it needs is missing, or refused by torch.

    Args:
        cfg: Config.
        loaders: Which of its data sets are read: ``'train'``, ``'val'``, ``'test'``.
        checkpoints: Files to load by what names them: ``checkpoint`` for the command line, else a
            setting of the config. Addresses are not looked at.
    """
    datasets = ((cfg.get(f'{name}_dataloader') or {}).get('dataset') for name in loaders)
    lines = [line for name, file in checkpoints.items() if file and '://' not in file
             for line in _checkpoint_problems(cfg, name, file)]
    lines += [line for dataset in datasets if dataset for line in _missing_data(dataset)]
    if lines:
        # One that says which command makes the file, if there is one.
        sys.exit(f"error: {min(lines, key=lambda line: '; run ' not in line)}")


def _checkpoint_problems(cfg: Config, name: str, file: str) -> Iterator[str]:
    if not Path(file).is_file():
        # Work folders are named after their configs.
        stage = Path(cfg.filename or '').with_name(f'{Path(file).absolute().parent.name}.py')
        remedy = '' if name == 'checkpoint' else f'; name another by --cfg-options {name}=FILE'
        if remedy and stage.is_file():
            command = (f'ROW={stage.stem} python tools/train.py {cfg.filename}' if 'row' in cfg else
                       f'python tools/train.py {stage}')
            remedy = f'; run {command} first (docs/recipes.md), or{remedy[1:]}'
        yield f'the checkpoint {file} is missing{remedy}'
        return
    try:
        torch.load(file, map_location='cpu', mmap=zipfile.is_zipfile(file))
    except Exception as error:  # What else is wrong with it, loading it will say.
        if asked := re.search(r'GLOBAL (([\w.]+)\.\w+)', str(error)):
            yield (f'the checkpoint {file} asks for {asked[1]}, which torch does not load by '
                   'itself; if you trust the file, put these lines into a module that '
                   f"the config's custom_imports names: import torch, {asked[2]}; "
                   f'torch.serialization.add_safe_globals([{asked[1]}])')


def _missing_data(dataset: Mapping) -> Iterator[str]:
    """Look for what a data set of a config, or those that it wraps, would read."""
    for inner in (*dataset.get('datasets', ()), *filter(None, [dataset.get('dataset')])):
        yield from _missing_data(inner)
    kind = dataset['type'] if isinstance(dataset['type'], type) else DATASETS.get(dataset['type'])
    if kind is None or not issubclass(kind, BaseSegDataset) or dataset.get('backend_args'):
        return
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix', {})
    labels = prefix.get('seg_map_path') if 'LoadAnnotations' in str(dataset.get('pipeline')) else ''
    command, names = _PREPARED.get((labels or '').split('/')[0], ('', ''))
    remedy = (f'set data_root, ann_file or data_prefix of the data set ({_PAGE}, says what the '
              'configs here read)')
    if command:
        remedy = (f'run python tools/prepare_data.py {command.format(root)} on the unpacked '
                  f'archives ({_PAGE}, also for data elsewhere)')
    images = prefix.get('img_path')
    if images and dataset.get('img_suffix') and not dataset.get('ann_file'):
        images += f'/*{dataset["img_suffix"]}'  # mmengine fails to say that there are none.
    parts = dataset.get('ann_file'), images, labels and f'{labels}/{names}'
    for path in (Path(root, part) for part in parts if part):
        if not (any(path.parent.rglob(path.name)) if '*' in path.name else path.exists()):
            yield f'{path} is missing; {remedy}'
