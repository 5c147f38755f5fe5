# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What a data set lists: at least one image, and no file outside its folders."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmseg.datasets import BaseCDDataset, BaseSegDataset

from mmseg_lrr.ops import checks


def check_listed_files(infos: Iterable[dict[str, Any]], folders: Mapping[str, str | None],
                       source: str) -> None:
    """Refuse a list that is empty or leads out of the data set's folders.

    Names are compared as they are written, so a folder that is a symbolic link serves.

    Args:
        infos: of each image, its files under ``'img_path'``, ``'seg_map_path'`` and the names of
            further folders (``'img_path2'``, ...).
        folders: the folders that they have to be in, by the same names; None or '' is the current
            folder.
        source: where the list comes from, for the message.

    Raises:
        ValueError: naming the list and the path.
    """
    # A trailing separator, so that "images2" is not inside "images".
    roots = {kind: os.path.join(os.path.abspath(folders.get(kind) or '.'), '')
             for kind in ('img_path', 'seg_map_path', *folders)}
    empty = True
    for info in infos:
        empty = False
        for kind, root in roots.items():
            path = info.get(kind)
            if path is not None and not os.path.abspath(path).startswith(root):
                raise ValueError(f'{source} lists {path}, which is outside of the folder {root}')
    if empty:
        raise ValueError(f'{source} lists no images')


def check_lists_within(dataset: Any) -> None:
    """Check the lists of the toolbox's data sets that a data set is, or wraps.

    Raises:
        ValueError: naming the data set, its list and the path; see :func:`check_listed_files`.
    """
    for inner in datasets_within(dataset):
        if isinstance(inner, BaseSegDataset | BaseCDDataset):
            inner.full_init()
            check_listed_files(
                (inner.get_data_info(index) for index in range(len(inner))), inner.data_prefix,
                f'the data set {type(inner).__name__} (ann_file={inner.ann_file!r})')


def check_configured_lists(cfg: Mapping[str, Any]) -> None:
    """Refuse empty lists before the data sets are built: the toolbox's fail without naming them.

    Args:
        cfg: config of a data set, or of one that wraps others. Lists that are not there, or not on
            this machine, are left to the data sets.

    Raises:
        ValueError: naming the list.
    """
    wrapped = cfg.get('datasets', [cfg['dataset']] if 'dataset' in cfg else [])
    for inner in wrapped:
        check_configured_lists(inner)
    path = os.path.join(str(cfg.get('data_root') or ''), str(cfg.get('ann_file') or ''))
    if os.path.isfile(path):
        with open(path, 'rb') as file:
            if not file.read().strip():
                raise ValueError(f'the list ann_file={path} lists no images')


def datasets_within(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that wrappers (``ConcatDataset``, ``RepeatDataset``, ...) hold."""
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from datasets_within(inner)
    elif hasattr(dataset, 'dataset'):
        yield from datasets_within(dataset.dataset)
    else:
        yield dataset


class ListedDataset(BaseSegDataset):
    """A data set in VOC's layout whose list of names is checked.

    Args:
        ann_file: Text file with the split's image names, one a line, without suffix; empty lines
            are skipped.
        data_prefix: Folders of images and label maps, relative to ``data_root``; VOC's if not
            given.
        **kwargs: Further arguments of :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        FileNotFoundError: If the list is not there.
        TypeError, ValueError: If an option is of a wrong kind, or the list is empty or leads out of
            the folders.
    """

    def __init__(
        self, *, ann_file: str, data_prefix: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        checks.path('ann_file', ann_file)
        if data_prefix is None:
            data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
        if not isinstance(data_prefix, Mapping) or 'img_path' not in data_prefix:
            raise TypeError('data_prefix must be a dict with img_path and, if there are labels, '
                            f'seg_map_path, got {data_prefix!r}')
        for name, folder in data_prefix.items():
            checks.one_of('data_prefix key', name, ('img_path', 'seg_map_path'))
            if folder is not None and not isinstance(folder, str):
                raise TypeError(f'data_prefix {name} must be text, got {folder!r}')
        if kwargs.get('data_root') is not None:
            checks.path('data_root', kwargs['data_root'])
        for name in ('img_suffix', 'seg_map_suffix'):
            checks.text(name, kwargs.get(name, '.'))
        for name in ('reduce_zero_label', 'test_mode', 'lazy_init', 'serialize_data'):
            checks.boolean(name, kwargs.get(name, False))
        checks.integer('ignore_index', kwargs.get('ignore_index', 255))
        checks.integer('max_refetch', kwargs.get('max_refetch', 1000), 0)
        for name in ('filter_cfg', 'backend_args'):
            if not isinstance(kwargs.get(name), Mapping | None):
                raise TypeError(f'{name} must be a dict or None, got {kwargs[name]!r}')
        _check_indices(kwargs.get('indices'))
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list."""
        if not os.path.isfile(self.ann_file):
            raise FileNotFoundError(f'the list ann_file={self.ann_file} is not there')
        try:
            listed = super().load_data_list()
        except UnicodeDecodeError as error:
            raise ValueError(f'the list ann_file={self.ann_file} is not text: {error}') from error
        listed = [info for info in listed
                  if os.path.basename(info['img_path']) != self.img_suffix]
        check_listed_files(listed, self.data_prefix, f'the list ann_file={self.ann_file}')
        if isinstance(self._indices, Sequence):
            for index in self._indices:
                checks.integer('indices of the list', index, -len(listed), len(listed) - 1)
        return listed


def _check_indices(indices: Any) -> None:
    """Check which images of the list are taken: the first or last ones, or those numbered."""
    if isinstance(indices, Sequence):
        checks.integers('indices', indices)
    elif indices is not None and checks.integer('indices', indices) == 0:
        raise ValueError('indices must be how many images to take, from the end if negative, or a '
                         'list of their numbers, got 0')
