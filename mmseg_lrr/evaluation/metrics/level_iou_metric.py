# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The toolbox's IoU metric, exact, with every level's score beside the final one."""

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor

from mmseg_lrr.evaluation.image_areas import (
    FINAL,
    ImageAreas,
    append_image,
    class_count,
    count_image,
    image_name,
    prediction_map,
    sum_areas,
)
from mmseg_lrr.evaluation.label_png import save_label_png
from mmseg_lrr.evaluation.metrics.trimap_iou_metric import (
    ABSENT_CLASSES,
    TrimapIoUMetric,
    absent_classes_text,
)
from mmseg_lrr.evaluation.output_paths import check_names_of_all, claim_name, output_folder
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.class_areas import mean_over_classes

#: Headline figure -> the name the toolbox gives its figures of the classes.
_FIGURES = {'mIoU': 'IoU', 'mDice': 'Dice', 'mFscore': 'Fscore'}

#: Options of the bands that are not this metric's own.
_TRIMAP_OPTIONS = ('widths', 'boundaries', 'csv_path', 'plot_path')


@METRICS.register_module()
class LRRIoUMetric(IoUMetric):
    """IoU of the final output and of every level, and of bands around the boundaries if asked.

    Does what the toolbox's :class:`mmseg.evaluation.IoUMetric` does and reports what it reports,
    with two differences: pixels are counted in int64 (the toolbox's float32 histograms stop at
    2^24 pixels), and a label that is neither a class nor ``ignore_index`` is an error that names
    the file, where the toolbox counts such pixels half. In addition:

    * For each level prediction in the data sample (``pred_sem_seg_32x``, ...; none is fine), each
      of ``iou_metrics`` is reported with the level's name: ``mIoU_32x``.
    * ``trimap`` adds what :class:`TrimapIoUMetric` reports, from the same pass. One dict as
      ``test_evaluator`` gives everything, which ``tools/test.py --out`` needs.

    Args:
        ignore_index: Label of the pixels that never count.
        iou_metrics: One or more of ``'mIoU'``, ``'mDice'`` and ``'mFscore'``.
        absent_classes: What a class that is absent from both prediction and ground truth counts
            as: ``'skip'`` leaves it out of the mean (the toolbox's way); ``'zero'`` is
            ``nan_to_num=0``, which counts IoU 0 (the released code's way) and any other undefined
            figure of a class, such as the accuracy of one that has no ground truth, as 0 too.
        nan_to_num: What undefined figures of classes count as; None skips them. Not together with
            ``absent_classes='zero'``.
        beta: Weight of recall in the F-score, > 0.
        trimap: Options of :class:`TrimapIoUMetric` (``widths``, ``boundaries``, ``csv_path``,
            ``plot_path``); None leaves the bands out. ``ignore_index`` and what absent classes
            count as are this metric's.
        output_dir: Folder for the final predictions as PNG, named after the images; made if it is
            not there. None writes none.
        format_only: Only write the predictions; for images without ground truth. Needs
            ``output_dir``.
        keep_results: True. ``tools/test.py --out`` sets it; nothing written is ever deleted.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Prefix of the names reported.
    """

    def __init__(
        self,
        *,
        ignore_index: int = 255,
        iou_metrics: str | Sequence[str] = ('mIoU', ),
        absent_classes: str = 'skip',
        nan_to_num: float | None = None,
        beta: float = 1,
        trimap: dict | None = None,
        output_dir: str | None = None,
        format_only: bool = False,
        keep_results: bool = True,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        names = [iou_metrics] if isinstance(iou_metrics, str) else iou_metrics
        if not isinstance(names, list | tuple) or not names:
            raise TypeError(f'iou_metrics must be one or more of {list(_FIGURES)}, got '
                            f'{iou_metrics!r}')
        for name in names:
            checks.one_of('iou_metrics', name, _FIGURES)
        if len(set(names)) < len(names):
            raise ValueError(f'iou_metrics must differ from one another, got {iou_metrics!r}')
        checks.one_of('absent_classes', absent_classes, ABSENT_CLASSES)
        checks.one_of('keep_results', keep_results, (True, ))
        checks.metric_options(collect_device, prefix)
        if nan_to_num is not None:
            checks.number('nan_to_num', nan_to_num)
        if output_dir is not None:
            output_folder('output_dir', output_dir)
        if nan_to_num is not None and absent_classes == 'zero':
            raise ValueError(
                "absent_classes='zero' is nan_to_num=0; give one of the two, got "
                f'nan_to_num={nan_to_num!r} as well'
            )
        if checks.boolean('format_only', format_only) and output_dir is None:
            raise ValueError(
                'format_only=True only writes predictions and needs output_dir (tools/test.py: '
                '--out), got None'
            )
        super().__init__(
            ignore_index=checks.integer('ignore_index', ignore_index),
            iou_metrics=list(names),
            nan_to_num=ABSENT_CLASSES[absent_classes] if nan_to_num is None else nan_to_num,
            beta=checks.number('beta', beta, 0, inclusive=False),
            output_dir=output_dir,
            format_only=format_only,
            collect_device=collect_device,
            prefix=prefix,
        )
        self._sources: dict[str, str] = {}
        self.trimap: TrimapIoUMetric | None = None
        if trimap is not None:
            if not isinstance(trimap, Mapping):
                raise TypeError('trimap must be a dict of options of TrimapIoUMetric, got '
                                f'{trimap!r}')
            for name in trimap:
                checks.one_of('trimap option', name, _TRIMAP_OPTIONS)
            self.trimap = TrimapIoUMetric(ignore_index=ignore_index, **trimap)
            self.trimap.absent = self.nan_to_num

    @IoUMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        """Set the meta information of the data set, whose ``classes`` are counted."""
        self._dataset_meta = dataset_meta
        if self.trimap is not None:
            self.trimap.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Append one entry an image to ``self.results``, and write its PNG if asked.

        Args:
            data_batch: Not used.
            data_samples: The model's outputs as dicts; with ``gt_sem_seg`` unless
                ``format_only``.

        Raises:
            ValueError: Two images have the same name, so that one's PNG would replace the other's.
        """
        for data_sample in data_samples:
            # An image that fails leaves no entry, so that a test loop may go on without it.
            entry = None if self.format_only else self._count(data_sample)
            if self.output_dir is not None:
                self._write_prediction(data_sample)
            if entry is not None:
                append_image(self.results, entry, image_name(data_sample))

    def _count(self, data_sample: dict) -> ImageAreas:
        if self.trimap is not None:
            return self.trimap.count(data_sample)
        return count_image(data_sample, class_count(self.dataset_meta), self.ignore_index)

    def _write_prediction(self, data_sample: dict) -> None:
        """Write the final prediction as the toolbox does: class ids, +1 if label 0 was removed."""
        labels = prediction_map(data_sample)
        if data_sample.get('reduce_zero_label', False):
            labels = labels + 1
        name = osp.splitext(osp.basename(data_sample['img_path']))[0] + '.png'
        claim_name(self._sources, name, data_sample['img_path'])
        save_label_png(osp.join(self.output_dir, name), labels)

    def evaluate(self, size: int) -> dict[str, float]:
        """Report the figures of what all processes counted.

        Args:
            size: Number of images.

        Raises:
            ValueError: Two images have the same name, each of another process, so that one's PNG
                has replaced the other's.
        """
        check_names_of_all(self._sources)
        return super().evaluate(size)

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Report all figures and log the toolbox's table of classes and one of levels.

        Args:
            results: The entries of all images.

        Returns:
            Name -> percent: the toolbox's names, the levels' and the bands'.
        """
        logger = MMLogger.get_current_instance()
        if self.format_only:
            print_log(f'the predictions are in {self.output_dir}', logger)
            return {}
        if not results:
            raise ValueError('no image was evaluated: there is nothing to average')
        # The groups are the bands and the rest; together they are the image. float64 holds these
        # whole numbers exactly, and the toolbox's divisions keep the type they are given.
        areas = sum_areas(results, class_count(self.dataset_meta)).sum(axis=1).astype(np.float64)
        totals = {
            output: _toolbox_areas(torch.from_numpy(counts))
            for output, counts in zip(results[0].outputs, areas, strict=True)
        }
        metrics = super().compute_metrics([totals[FINAL]])
        table = PrettyTable(['output', *self.metrics])
        for output, total in totals.items():
            figures = self.total_area_to_metrics(*total, self.metrics, self.nan_to_num, self.beta)
            scores = {
                name: float(np.round(mean_over_classes(figures[_FIGURES[name]]) * 100, 2))
                for name in self.metrics
            }
            table.add_row([output, *(f'{score:.2f}' for score in scores.values())])
            if output != FINAL:
                metrics.update((f'{name}_{output}', score) for name, score in scores.items())
        print_log(
            f'per level results; {absent_classes_text(self.nan_to_num)}:\n{table.get_string()}',
            logger,
        )
        if self.trimap is not None:
            metrics.update(self.trimap.compute_metrics(results))
        return metrics


def _toolbox_areas(counts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn counts ``(3, C)`` into intersection, union, prediction and label, each ``(C, )``."""
    agreed, predicted, labelled = counts
    return agreed, predicted + labelled - agreed, predicted, labelled
