# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Scores near boundaries: mean IoU in bands around them, Boundary IoU, and boundary F."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmseg.registry import METRICS
from prettytable import PrettyTable

from mmseg_lrr.evaluation import image_areas
from mmseg_lrr.evaluation.image_areas import FINAL, Count, ImageAreas
from mmseg_lrr.ops import boundary_band as bands
from mmseg_lrr.ops import checks, class_areas
from mmseg_lrr.visualization.plots import plot_trimap_curves, write_trimap_csv

#: What a class counts as that is absent from both prediction and ground truth.
ABSENT_CLASSES = {'skip': None, 'zero': 0.0}


def absent_classes_text(absent: float | None) -> str:
    """Say in a report how absent classes were counted."""
    how = 'are skipped' if absent is None else f'count as {absent:g}'
    return f'classes absent from both prediction and ground truth {how}'


class BoundaryMetric(BaseMetric):
    """Base of the metrics near boundaries: a score of each class, by width and output.

    Reports ``<name>@<width>`` in percent, rounded like mmseg's ``mIoU``, and, for each level
    prediction in the data sample (``pred_sem_seg_32x``, ...), ``<name>@<width>_32x``. The mean is
    over the classes; pixels are added up over the images before they are divided. Ignored pixels
    never count.

    Args:
        widths: Widths in pixels of the original image, each >= 1. None: ``diagonal_share`` of each
            image's diagonal, rounded and at least 1; the score is then called ``<name>``.
        ignore_index: Label of ignored pixels.
        absent_classes: What a class that has no pixel to count in prediction and ground truth
            counts as: ``'skip'`` leaves it out of the mean, as mmseg does; ``'zero'`` counts 0, as
            the released code does.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # None would be warned of
    name: str
    title: str  # of the table in the log
    diagonal_share: float
    #: The measure for given widths, and what makes scores ``(..., widths, C)`` of its counts.
    count_by_width: Callable[[np.ndarray, int, Sequence[int]], Count]
    class_scores: Callable[[np.ndarray], np.ndarray]

    def __init__(self, *, widths: Sequence[int] | None = None, ignore_index: int = 255,
                 absent_classes: str = 'skip', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths = widths if widths is None else sorted(
            checks.integer('widths', width, minimum=1) for width in widths)
        self.ignore_index = ignore_index
        self.absent = ABSENT_CLASSES[
            checks.one_of('absent_classes', absent_classes, ABSENT_CLASSES)]

    def measure(self, label: np.ndarray, num_classes: int) -> Count:
        """Measure one image, see :mod:`mmseg_lrr.evaluation.image_areas`."""
        widths = self.widths
        if widths is None:
            widths = [max(1, round(self.diagonal_share * math.hypot(*label.shape)))]
        return self.count_by_width(label, num_classes, widths)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Append one entry per image to ``self.results``."""
        for data_sample in data_samples:
            self.results += image_areas.count_image(
                data_sample, len(self.dataset_meta['classes']), self.ignore_index, [self.measure])

    def curves(self, results: Sequence[ImageAreas]) -> dict[str, dict[int | None, float]]:
        """Return level, or ``'final'`` -> width, None for the share -> mean score in percent.

        NaN where no class has a pixel to count and such classes are skipped.
        """
        areas = image_areas.sum_areas(results, len(self.dataset_meta['classes']))
        scores = class_areas.mean_over_classes(self.class_scores(areas), self.absent)
        widths = [None] if self.widths is None else self.widths
        return {
            output: dict(zip(widths, row, strict=True))
            for output, row in zip(results[0].outputs, (scores * 100).round(2).tolist(),
                                   strict=True)
        }

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Report the scores, name -> percent, and log a table."""
        curves = self.curves(results)
        table = PrettyTable(['width (pixels)', *curves])
        for width in curves[FINAL]:
            table.add_row([width or f'{self.diagonal_share:.1%} of the diagonal',
                           *(f'{curve[width]:.2f}' for curve in curves.values())])
        print_log(f'{self.title}; {absent_classes_text(self.absent)}:\n{table.get_string()}',
                  MMLogger.get_current_instance())
        return {
            self.name + (f'@{width}' if width else '') + ('' if output == FINAL else f'_{output}'):
                score
            for output, curve in curves.items()
            for width, score in curve.items()
        }


@METRICS.register_module()
class TrimapIoUMetric(BoundaryMetric):
    """Mean IoU inside bands ("trimaps") around the boundaries of the ground truth.

    Reports ``trimap_mIoU@<width>``, see :class:`BoundaryMetric`. An image without boundaries has
    empty bands.

    Args:
        widths: Widths of the bands in pixels of the original image, each >= 1.
        boundaries: ``'labels'``: a boundary pixel is one with a 4-neighbour of another label (the
            ignored regions count as a label); the band is the pixels whose Euclidean distance to
            the nearest of them is < width, so width 1 is the boundary pixels. ``'void'``: the band
            is the pixels at most ``width`` away from the nearest ignored pixel (VOC draws the
            contours of objects as ignored pixels).
        csv_path: File for the curve, columns ``width``, ``level``, ``mIoU``; None writes none.
        plot_path: PNG file for a plot of the curve, one line per level; None draws none.
        **kwargs: Those of :class:`BoundaryMetric`.
    """

    name = 'trimap_mIoU'

    def __init__(self, *, widths: Sequence[int] = (1, 3, 5, 10, 20), boundaries: str = 'labels',
                 csv_path: str | None = None, plot_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(widths=widths, **kwargs)
        self.boundaries = checks.one_of('boundaries', boundaries, bands.BOUNDARIES)
        self.title = f'mean IoU (%) within bands around the boundaries ({boundaries!r})'
        self.csv_path, self.plot_path = csv_path, plot_path

    def count_by_width(self, label: np.ndarray, num_classes: int, widths: Sequence[int]) -> Count:
        """See :func:`mmseg_lrr.evaluation.image_areas.trimap_counts`."""
        return image_areas.trimap_counts(label, num_classes, widths, self.boundaries)

    def class_scores(self, areas: np.ndarray) -> np.ndarray:
        """Divide; a band holds the narrower ones, and the last group is what is in none."""
        return class_areas.intersection_over_union(areas[:, :-1].cumsum(axis=1))

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Report the scores, log a table, and write the files asked for."""
        metrics = super().compute_metrics(results)
        curves = self.curves(results)
        if self.csv_path is not None:
            write_trimap_csv(self.csv_path, {'mIoU': curves})
        if self.plot_path is not None:
            plot_trimap_curves(self.plot_path, curves, self.title)
        return metrics


@METRICS.register_module()
class BoundaryIoUMetric(BoundaryMetric):
    """Boundary IoU (Cheng et al., CVPR 2021) of semantic label maps.

    Reports ``boundary_mIoU@<width>``, see :class:`BoundaryMetric`: the IoU of the inner bands of
    prediction and ground truth, of each class. The inner band of width w is the pixels of the class
    whose Euclidean distance to the nearest valid pixel of another class of the same map is <= w.
    Ignored pixels belong to no class in either map and make no boundary, nor does the border of
    the image. A class without a band in any image, in either map, is absent.

    The authors' code is for instances: it erodes masks by a 3x3 square, w times, so that its bands
    are wider along diagonals, and counts the image's border as a boundary.

    Args:
        widths: See :class:`BoundaryMetric`; None is 2 % of the diagonal, as the authors have it.
        **kwargs: Those of :class:`BoundaryMetric`.
    """

    name = 'boundary_mIoU'
    title = 'mean IoU (%) of the inner bands of prediction and label'
    diagonal_share = .02
    class_scores = staticmethod(class_areas.intersection_over_union)

    @staticmethod
    def count_by_width(label: np.ndarray, num_classes: int, widths: Sequence[int]) -> Count:
        """Count the pixels of the bands of both maps, of the prediction, and of the label."""
        count = partial(
            class_areas.cumulative_areas, num_classes=num_classes, num_groups=len(widths))
        own = bands.inner_band_index(label, num_classes, widths)
        labelled = count(label, own)

        def compare(prediction: np.ndarray) -> np.ndarray:
            index = bands.inner_band_index(prediction, num_classes, widths)
            both = np.where(prediction == label, np.maximum(index, own), len(widths))
            return np.stack([count(label, both), count(prediction, index), labelled], axis=1)

        return compare


@METRICS.register_module()
class BoundaryFMetric(BoundaryMetric):
    """Boundary F score (Perazzi et al., CVPR 2016: DAVIS) of semantic label maps.

    Reports ``boundary_mF@<width>``, see :class:`BoundaryMetric`. A boundary pixel of a class is one
    of its inner band of width 1 (:class:`BoundaryIoUMetric`): a valid 4-neighbour is of another
    class. Of each class, precision P is the share of the prediction's boundary pixels at a
    Euclidean distance <= w from a boundary pixel of the class in the ground truth, recall R the
    share of the ground truth's that are as near to one of the prediction's, and
    F = 2 P R / (P + R), 0 where both are 0. A class without a boundary pixel in any image, in
    either map, is absent.

    The code of Gated-SCNN (Takikawa et al., ICCV 2019) computes F for each image and averages, a
    class that is absent from an image counting as 1.

    Args:
        widths: See :class:`BoundaryMetric`; None is 0.8 % of the diagonal, as in DAVIS.
        **kwargs: Those of :class:`BoundaryMetric`.
    """

    name = 'boundary_mF'
    title = 'mean F score (%) of boundary pixels'
    diagonal_share = .008
    class_scores = staticmethod(class_areas.f_score)

    @staticmethod
    def count_by_width(label: np.ndarray, num_classes: int, widths: Sequence[int]) -> Count:
        """Count boundary pixels: the prediction's that are right, all; the label's likewise."""
        own = bands.boundary_points(label, num_classes)

        def near(points: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
            classes = points[:, 2]
            distance = bands.distance_to_class(points, others, widths[-1])
            index = np.searchsorted(widths, distance)
            return [class_areas.cumulative_areas(classes, group, num_classes, len(widths))
                    for group in (index, np.zeros_like(classes))]

        def compare(prediction: np.ndarray) -> np.ndarray:
            points = bands.boundary_points(prediction, num_classes)
            return np.stack([*near(points, own), *near(own, points)], axis=1)

        return compare
