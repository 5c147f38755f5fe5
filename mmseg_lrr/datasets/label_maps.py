# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The label maps of a training set, read without its images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations as BaseLoadAnnotations
from mmseg.datasets.transforms import LoadAnnotations
from torch.utils.data import Subset

from mmseg_lrr.datasets.listed_files import check_lists_within


class LabelMaps(Sequence):
    """Label maps of a built data set, at their original resolution, read one by one.

    File list, label mapping and ``reduce_zero_label`` are the data set's own, and the maps are
    read by the annotation loader of its own pipeline (the toolbox's default if the pipeline has
    none). No other transform is run and no image is opened. Wrappers (``ConcatDataset``,
    ``RepeatDataset``, ``ClassBalancedDataset``, ``MultiImageMixDataset``) are looked through:
    each file of a wrapped data set comes once. Data sets built lazily are initialised.

    Args:
        dataset: A segmentation data set or a wrapper of some.

    Raises:
        TypeError: If there is something in the data set that has no list of files.
        ValueError: If the data set is empty, or lists an image without a label map or a file
            outside of its folders.
    """

    def __init__(self, dataset: Any) -> None:
        self._sources: list[tuple[Any, int]] = []
        self._loaders: dict[int, BaseLoadAnnotations] = {}
        self._files: list[str] = []
        self._mappings: list[dict] = []
        for leaf in _leaves(dataset):
            leaf.full_init()
            if len(leaf):
                check_lists_within(leaf)
            self._loaders[id(leaf)] = _annotation_loader(leaf)
            for index in range(len(leaf)):
                info = leaf.get_data_info(index)
                if info.get('seg_map_path') is None:
                    raise ValueError(
                        f'{type(leaf).__name__} lists no label map (seg_map_path) for image '
                        f"{info.get('img_path')}; is data_prefix['seg_map_path'] set?"
                    )
                self._sources.append((leaf, index))
                self._files.append(info['seg_map_path'])
            self._mappings.append(
                {
                    'num_files': len(leaf),
                    'label_map': getattr(leaf, 'label_map', None),
                    'reduce_zero_label': getattr(leaf, 'reduce_zero_label', None),
                }
            )
        if not self._sources:
            raise ValueError(f'the training set ({type(dataset).__name__}) lists no files')

    @property
    def files(self) -> list[str]:
        """Paths of the label maps, in order."""
        return list(self._files)

    @property
    def mappings(self) -> list[dict]:
        """For each wrapped data set in turn: number of files and how labels are mapped."""
        return copy.deepcopy(self._mappings)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> np.ndarray:
        """Read one label map.

        Returns:
            ``(H, W)`` integer class labels, after the data set's mapping.

        Raises:
            FileNotFoundError: If the file is missing.
            ValueError: If the file cannot be decoded or is not one channel.
        """
        leaf, leaf_index = self._sources[index]
        path = self._files[index]
        try:
            results = self._loaders[id(leaf)](leaf.get_data_info(leaf_index))
        except FileNotFoundError as error:
            raise FileNotFoundError(f'label map of the training set is missing: {path}') from error
        except Exception as error:
            raise ValueError(f'cannot read label map {path}: {error}') from error
        label_map = results['gt_seg_map']
        if label_map.ndim != 2:
            raise ValueError(
                f'label map {path} must have one channel of class labels, '
                f'got shape {label_map.shape}'
            )
        return label_map


def _leaves(dataset: Any) -> Iterator[Any]:
    """Yield the data sets with files of their own that a wrapper holds."""
    if isinstance(dataset, Subset):
        raise TypeError(
            "label maps of a torch Subset cannot be listed; use the data set's own `indices`"
        )
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from _leaves(inner)
    elif hasattr(dataset, 'dataset'):
        yield from _leaves(dataset.dataset)
    elif hasattr(dataset, 'get_data_info') and hasattr(dataset, 'full_init'):
        yield dataset
    else:
        raise TypeError(
            f'{type(dataset).__name__} has no get_data_info; label maps can be listed for '
            'data sets of the toolbox and their wrappers only'
        )


def _annotation_loader(dataset: Any) -> BaseLoadAnnotations:
    """Return a copy of the annotation loader in a data set's pipeline, else the default one."""
    for transform in getattr(dataset.pipeline, 'transforms', ()):
        if isinstance(transform, BaseLoadAnnotations):
            # A copy, because the loader remembers `reduce_zero_label` from its first use.
            return copy.deepcopy(transform)
    return LoadAnnotations(backend_args=getattr(dataset, 'backend_args', None))
