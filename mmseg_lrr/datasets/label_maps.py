# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The label maps of a training set, read without its images."""

import copy
import os
from collections.abc import Iterator, Sequence

import numpy as np
from mmcv.transforms import LoadAnnotations as BaseLoadAnnotations
from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations

from .transforms import CheckLabels


class LabelMaps(Sequence):
    """Label maps of a data set, at their original resolution, read one by one.

    The maps are read by the ``LoadAnnotations`` of the data set's own pipeline (mmseg's default if
    it has none), so they are mapped as in training; no other transform is run and no image is
    opened. Wrappers (``ConcatDataset``, ``RepeatDataset``, ``ClassBalancedDataset``,
    ``MultiImageMixDataset``) are looked through: each file of a wrapped data set comes once.

    Args:
        dataset: A segmentation data set or a wrapper of some.

    Attributes:
        files: Paths of the label maps, in order.
        mappings: For each wrapped data set in turn, its number of files and how labels are mapped.
    """

    def __init__(self, dataset: BaseDataset) -> None:
        self.files: list[str] = []
        self.mappings: list[dict] = []
        self._sources: list[tuple[BaseDataset, int, BaseLoadAnnotations, CheckLabels]] = []
        for leaf in leaves(dataset):
            leaf.full_init()
            # A copy, because the loader remembers `reduce_zero_label` from its first use.
            load = copy.deepcopy(next(
                (step for step in leaf.pipeline.transforms
                 if isinstance(step, BaseLoadAnnotations)), LoadAnnotations()))
            classes = leaf.metainfo.get('classes') or range(256)
            check = CheckLabels(len(classes), getattr(leaf, 'ignore_index', 255))
            for index in range(len(leaf)):
                self._sources.append((leaf, index, load, check))
                self.files.append(leaf.get_data_info(index)['seg_map_path'])
            self.mappings.append({
                'num_files': len(leaf),
                'label_map': getattr(leaf, 'label_map', None),
                'reduce_zero_label': getattr(leaf, 'reduce_zero_label', None),
            })

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> np.ndarray:
        """Read one label map.

        Returns:
            ``(H, W)`` uint8, after the data set's mapping.

        Raises:
            ValueError: If the file cannot be decoded, is not one channel, or holds a label that is
                no class of the data set.
        """
        leaf, leaf_index, load, check = self._sources[index]
        try:
            results = load(leaf.get_data_info(leaf_index))
        except FileNotFoundError:
            raise
        except Exception as error:  # Decoders do not name the file.
            raise ValueError(f'cannot read the label map {self.files[index]}: {error}') from error
        return check(results)['gt_seg_map']


def leaves(dataset: BaseDataset) -> Iterator[BaseDataset]:
    """Yield the data sets with files of their own that a wrapper holds."""
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from leaves(inner)
    elif hasattr(dataset, 'dataset'):
        yield from leaves(dataset.dataset)
    else:
        yield dataset


def check_files(dataset: BaseDataset, name: str) -> None:
    """Refuse a data set called ``name`` whose images or label maps are not all there."""
    for leaf in leaves(dataset):
        if not isinstance(leaf, BaseSegDataset) or leaf.backend_args:
            continue
        infos = [leaf.get_data_info(index) for index in range(len(leaf))]
        for key, suffix in (('img_path', 'img_suffix'), ('seg_map_path', 'seg_map_suffix')):
            paths = [info[key] for info in infos if info.get(key)]
            if missing := [path for path in paths if not os.path.exists(path)]:
                raise FileNotFoundError(
                    f'{len(missing)} of {len(paths)} files of {name} are missing, first '
                    f'{missing[0]}; check its data_root, data_prefix.{key} and '
                    f'{suffix}={getattr(leaf, suffix)!r}')


def class_numbers(dataset: BaseDataset, name: str) -> dict[str, int]:
    """Return the numbers of classes that a data set names: its own, and CheckLabels'."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    numbers = {name: len(classes)} if classes else {}
    for leaf in leaves(dataset):
        for step in getattr(getattr(leaf, 'pipeline', None), 'transforms', ()):
            if isinstance(step, CheckLabels):
                numbers['CheckLabels'] = step.num_classes
    return numbers
