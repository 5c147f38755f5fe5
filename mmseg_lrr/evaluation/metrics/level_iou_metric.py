# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""mmseg's IoU metric, exact, with every level's score beside the final one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor

from mmseg_lrr.evaluation import image_areas
from mmseg_lrr.evaluation.image_areas import FINAL, ImageAreas, label_map
from mmseg_lrr.evaluation.label_png import save_label_png
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.class_areas import mean_over_classes

from .boundary_metrics import (
    ABSENT_CLASSES,
    BoundaryFMetric,
    BoundaryIoUMetric,
    TrimapIoUMetric,
    absent_classes_text,
)

#: Headline score -> the name mmseg gives its scores of the classes.
_SCORES = {'mIoU': 'IoU', 'mDice': 'Dice', 'mFscore': 'Fscore'}


@METRICS.register_module()
class LRRIoUMetric(IoUMetric):
    """IoU of the final output and of every level, and scores near the boundaries if asked.

    Reports what :class:`mmseg.evaluation.IoUMetric` reports, with two differences: pixels are
    counted in int64 (mmseg's float32 histograms stop at 2^24 pixels), and a label that is neither a
    class nor ``ignore_index`` is an error that names the file (mmseg counts such pixels half). In
    addition:

    * For each level prediction in the data sample (``pred_sem_seg_32x``, ...; none is fine), each
      of ``iou_metrics`` is reported with the level's name: ``mIoU_32x``.
    * ``trimap``, ``boundary_iou`` and ``boundary_f`` add what :class:`TrimapIoUMetric`,
      :class:`BoundaryIoUMetric` and :class:`BoundaryFMetric` report, from the same pass. One dict
      as ``test_evaluator`` gives everything, which ``tools/test.py --out`` needs.

    Args:
        iou_metrics: One or more of ``'mIoU'``, ``'mDice'`` and ``'mFscore'``.
        absent_classes: What a class that is absent from both prediction and ground truth counts
            as: ``'skip'`` leaves it out of the mean, as mmseg does; ``'zero'`` is
            ``nan_to_num=0``, which counts IoU 0, as the released code does, and any other undefined
            score of a class, such as the accuracy of one that has no ground truth, as 0 too.
        nan_to_num: What undefined scores of classes count as; None leaves that to
            ``absent_classes``.
        trimap: Options of :class:`TrimapIoUMetric` (``widths``, ``boundaries``, ``csv_path``,
            ``plot_path``); None leaves it out. ``ignore_index`` and what absent classes count as
            are this metric's.
        boundary_iou, boundary_f: The same (``widths``) of :class:`BoundaryIoUMetric` and of
            :class:`BoundaryFMetric`.
        details: Whether to report the accuracies (``aAcc_32x``, ``mAcc_32x``) of every level too,
            and the scores of every class (``IoU_32x/person``, ``IoU/person``).
        output_dir: Folder for the final predictions as PNG, named after the images, and, where two
            of these are alike, in the images' subfolders if ``LRRTestLoop`` tests; None writes
            none.
        format_only: Only write the predictions; for images without ground truth. Needs
            ``output_dir``.
        keep_results: Always True; ``tools/test.py --out`` sets it.
        ignore_index, beta, collect_device, prefix: See :class:`mmseg.evaluation.IoUMetric`.
    """

    default_prefix = ''  # None would be warned of

    def __init__(self, *, ignore_index: int = 255, iou_metrics: str | Sequence[str] = ('mIoU', ),
                 absent_classes: str = 'skip', nan_to_num: float | None = None, beta: float = 1,
                 trimap: dict | None = None, boundary_iou: dict | None = None,
                 boundary_f: dict | None = None, details: bool = False,
                 output_dir: str | None = None, format_only: bool = False,
                 keep_results: bool = True, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        names = [iou_metrics] if isinstance(iou_metrics, str) else list(iou_metrics)
        # mmseg says so when all images are tested.
        for name in names:
            checks.one_of('iou_metrics', name, _SCORES)
        if format_only and output_dir is None:
            raise ValueError('format_only=True only writes predictions and needs output_dir '
                             '(tools/test.py: --out), got None')
        absent = ABSENT_CLASSES[checks.one_of('absent_classes', absent_classes, ABSENT_CLASSES)]
        super().__init__(
            ignore_index=ignore_index, iou_metrics=names, beta=beta, output_dir=output_dir,
            nan_to_num=absent if nan_to_num is None else nan_to_num, format_only=format_only,
            collect_device=collect_device, prefix=prefix)
        self.details = details
        self._written: dict[Path, str] = {}
        #: Names of the PNG files by image, without the ending; an image's own by default.
        self.file_names: dict[str, str] = {}
        self.near_boundaries = [
            kind(ignore_index=ignore_index, **options) for kind, options in (
                (TrimapIoUMetric, trimap), (BoundaryIoUMetric, boundary_iou),
                (BoundaryFMetric, boundary_f)) if options is not None]
        for metric in self.near_boundaries:
            metric.absent = self.nan_to_num
        # The trimap's bands and the rest are the whole image.
        self._whole = [image_areas.trimap_counts] if trimap is None else []

    @IoUMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        """Set the meta information of the data set, whose ``classes`` are counted."""
        self._dataset_meta = dataset_meta
        for metric in self.near_boundaries:
            metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Append one entry per image to ``self.results``, and write its PNG if asked.

        Args:
            data_batch: Not used.
            data_samples: The model's outputs as dicts; with ``gt_sem_seg`` unless
                ``format_only``.

        Raises:
            ValueError: Two images have the same name, so that one's PNG would replace the other's.
        """
        for data_sample in data_samples:
            # An image that fails leaves no entry, so that a test loop may go on without it.
            entry = [] if self.format_only else [image_areas.count_image(
                data_sample, len(self.dataset_meta['classes']), self.ignore_index,
                [*self._whole, *(metric.measure for metric in self.near_boundaries)])]
            if self.output_dir is not None:
                self._write_prediction(data_sample)
            self.results += entry

    def _write_prediction(self, data_sample: dict) -> None:
        """Write the final prediction as mmseg does: class ids, +1 if label 0 was removed."""
        labels = label_map(data_sample) + int(data_sample.get('reduce_zero_label', False))
        image = data_sample['img_path']
        path = Path(self.output_dir, self.file_names.get(image, Path(image).stem) + '.png')
        other = self._written.setdefault(path, image)
        if other != image:
            raise ValueError(f'{other} and {image} would both be written to {path}; '
                             "test_cfg=dict(type='LRRTestLoop') keeps their subfolders")
        save_label_png(path, labels)

    def compute_metrics(self, results: list[list[ImageAreas]]) -> dict[str, float]:
        """Report all scores and log mmseg's table of classes and one of levels.

        Args:
            results: The entries of all images.

        Returns:
            Name -> percent: mmseg's names, the levels', and those of the other metrics.
        """
        logger = MMLogger.get_current_instance()
        if self.format_only:
            print_log(f'the predictions are in {self.output_dir}', logger)
            return {}
        parts = list(zip(*results, strict=True)) or [()]
        # float64 holds these whole numbers exactly, and mmseg's divisions keep their type.
        areas = image_areas.sum_areas(parts[0], len(self.dataset_meta['classes'])).sum(axis=1)
        totals = {output: _toolbox_areas(torch.from_numpy(counts)) for output, counts in zip(
            parts[0][0].outputs, areas.astype(np.float64), strict=True)}
        metrics = super().compute_metrics([totals[FINAL]])
        table = PrettyTable(['output', *self.metrics])
        for output, total in totals.items():
            of_classes = self.total_area_to_metrics(
                *total, self.metrics, self.nan_to_num, self.beta)
            scores = {
                name: float(np.round(mean_over_classes(of_classes[_SCORES[name]]) * 100, 2))
                for name in self.metrics
            }
            table.add_row([output, *(f'{score:.2f}' for score in scores.values())])
            suffix = '' if output == FINAL else f'_{output}'
            if self.details:
                metrics.update(self._details(of_classes, suffix))
            metrics.update((f'{name}{suffix}', score) for name, score in scores.items())
        print_log(f'per level results; {absent_classes_text(self.nan_to_num)}:\n'
                  f'{table.get_string()}', logger)
        for metric, entries in zip(self.near_boundaries, parts[len(self._whole):], strict=True):
            metrics.update(metric.compute_metrics(entries))
        return metrics


    def _details(self, of_classes: dict[str, np.ndarray], suffix: str) -> dict[str, float]:
        """Accuracies and the scores of the classes, in percent, by name."""
        found = {f'aAcc{suffix}': of_classes['aAcc'],
                 f'mAcc{suffix}': mean_over_classes(of_classes['Acc'])}
        for name in map(_SCORES.get, self.metrics):
            found.update((f'{name}{suffix}/{label}', score) for label, score in zip(
                self.dataset_meta['classes'], of_classes[name], strict=True))
        return {name: float(np.round(score * 100, 2)) for name, score in found.items()}


def _toolbox_areas(counts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn counts ``(3, C)`` into intersection, union, prediction and label, each ``(C, )``."""
    agreed, predicted, labelled = counts
    return agreed, predicted + labelled - agreed, predicted, labelled
