# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The package's metric, with the figures of the classes among those that it returns."""

from mmseg.registry import METRICS

from mmseg_lrr.evaluation.image_areas import FINAL, ImageAreas, sum_areas
from mmseg_lrr.evaluation.metrics import LRRIoUMetric


@METRICS.register_module()
class ClassIoUMetric(LRRIoUMetric):
    """Adds the IoU of each class to the figures that are returned."""

    def compute_metrics(self, results: list[ImageAreas]) -> dict[str, float]:
        """Name -> percent; those of the classes are ``IoU_{class}``."""
        names = self.dataset_meta['classes']
        output = results[0].outputs.index(FINAL)
        agreed, predicted, labelled = sum_areas(results, len(names)).sum(axis=1)[output]
        return super().compute_metrics(results) | {
            f'IoU_{name}': 100 * both / (one + other - both)
            for name, both, one, other in zip(names, agreed, predicted, labelled, strict=True)}
