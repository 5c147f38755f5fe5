# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Annotations for images that have them."""

from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadAnnotationsIfAny(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, doing nothing where there is no label path.

    ``MMSegInferencer`` deletes ``LoadAnnotations`` from a test pipeline, but cannot reach one
    nested in ``TestTimeAug``; with this one the same pipeline serves images with and without
    ground truth. A label path whose file is missing stays an error. The options are those of
    ``LoadAnnotations``.
    """

    def transform(self, results: dict) -> dict:
        """Load ``results['seg_map_path']`` if it is there and not None."""
        if results.get('seg_map_path') is None:
            return results
        return super().transform(results)
