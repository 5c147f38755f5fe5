# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Mean IoU near the boundaries of the ground truth."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmseg.registry import METRICS
from prettytable import PrettyTable

from mmseg_lrr.evaluation.image_areas import FINAL, ImageAreas, count_image, sum_areas
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.boundary_band import BOUNDARIES
from mmseg_lrr.ops.class_areas import intersection_over_union, mean_over_classes
from mmseg_lrr.visualization.plots import plot_trimap_curves, write_trimap_csv

#: What a class counts as that is absent from both prediction and ground truth.
ABSENT_CLASSES = {'skip': None, 'zero': 0.0}

_TITLES = {
    'labels': 'Mean IoU within a thin strip around label boundaries',
    'void': 'Mean IoU within a thin strip around void regions',
}


def absent_classes_text(absent: float | None) -> str:
    """Say in a report how absent classes were counted."""
    how = 'are skipped' if absent is None else f'count as {absent:g}'
    return f'classes absent from both prediction and ground truth {how}'


@METRICS.register_module()
class TrimapIoUMetric(BaseMetric):
    """Mean IoU inside bands ("trimaps") around the boundaries of the ground truth.

    Reports ``trimap_mIoU@<width>`` in percent, rounded like mmseg's ``mIoU``, and, for each level
    prediction in the data sample (``pred_sem_seg_32x``, ...), ``trimap_mIoU@<width>_32x``.
    Intersections and unions are added up over the images before they are divided, as for mIoU.
    Ignored pixels never count, and an image without boundaries has empty bands.

    Args:
        widths: Widths of the bands in pixels of the original image, each >= 1.
        boundaries: ``'labels'``: a boundary pixel is one with a 4-neighbour of another label (the
            ignored regions count as a label); the band is the pixels whose Euclidean distance to
            the nearest of them is < width, so width 1 is the boundary pixels. ``'void'``: the band
            is the pixels at most ``width`` away from the nearest ignored pixel (VOC draws the
            contours of objects as ignored pixels).
        ignore_index: Label of ignored pixels.
        absent_classes: What a class that is absent from a band's prediction and ground truth
            counts as: ``'skip'`` leaves it out of the mean, as mmseg does; ``'zero'`` counts IoU
            0, as the released code does.
        csv_path: File for the curve, columns ``width``, ``level``, ``mIoU``; None writes none.
        plot_path: PNG file for a plot of the curve, one line per level; None draws none.
        **kwargs: Those of :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (1, 3, 5, 10, 20),
        boundaries: str = 'labels',
        ignore_index: int = 255,
        absent_classes: str = 'skip',
        csv_path: str | None = None,
        plot_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.widths = sorted(checks.integer('widths', width, minimum=1) for width in widths)
        self.boundaries = checks.one_of('boundaries', boundaries, BOUNDARIES)
        self.ignore_index = ignore_index
        self.absent = ABSENT_CLASSES[
            checks.one_of('absent_classes', absent_classes, ABSENT_CLASSES)]
        self.csv_path, self.plot_path = csv_path, plot_path

    def count(self, data_sample: dict) -> ImageAreas:
        """Count one image's pixels; see :func:`mmseg_lrr.evaluation.image_areas.count_image`."""
        return count_image(data_sample, len(self.dataset_meta['classes']), self.ignore_index,
                           self.widths, self.boundaries)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Append one entry per image to ``self.results``.

        Args:
            data_batch: Not used.
            data_samples: The model's outputs as dicts, with ``gt_sem_seg``.
        """
        self.results.extend(map(self.count, data_samples))

    def curves(self, results: Sequence[ImageAreas]) -> dict[str, dict[int, float]]:
        """Return the curve of every output.

        Args:
            results: At least one image's counts.

        Returns:
            Level, or ``'final'`` -> width in pixels -> mean IoU in percent; NaN where no pixel of
            any image is in the band and absent classes are skipped.
        """
        areas = sum_areas(results, len(self.dataset_meta['classes']))
        # A band holds the narrower ones; the last group is what is in none.
        bands = areas[:, :-1].cumsum(axis=1)
        scores = mean_over_classes(intersection_over_union(bands), self.absent)
        return {
            output: dict(zip(self.widths, row, strict=True))
            for output, row in zip(results[0].outputs, (scores * 100).round(2).tolist(),
                                   strict=True)
        }

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Report the bands' mean IoU, log a table, and write the files asked for.

        Args:
            results: The entries of all images.

        Returns:
            Name -> percent.
        """
        curves = self.curves(results)
        table = PrettyTable(['width (pixels)', *curves])
        for width in self.widths:
            table.add_row([width, *(f'{curve[width]:.2f}' for curve in curves.values())])
        print_log(
            f'mean IoU (%) within bands around the boundaries ({self.boundaries!r}); '
            f'{absent_classes_text(self.absent)}:\n{table.get_string()}',
            MMLogger.get_current_instance())
        if self.csv_path is not None:
            write_trimap_csv(self.csv_path, curves)
        if self.plot_path is not None:
            plot_trimap_curves(self.plot_path, curves, _TITLES[self.boundaries])
        return {
            f'trimap_mIoU@{width}' + ('' if output == FINAL else f'_{output}'): score
            for output, curve in curves.items()
            for width, score in curve.items()
        }
