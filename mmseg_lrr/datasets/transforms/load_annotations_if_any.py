# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Annotations for images that have them."""

from typing import Any

from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from mmseg_lrr import checks

_BACKENDS = ('pillow', 'cv2', 'tifffile', 'turbojpeg')


@TRANSFORMS.register_module()
class LoadAnnotationsIfAny(LoadAnnotations):
    """The toolbox's ``LoadAnnotations``, doing nothing where there is no label path.

    ``MMSegInferencer`` deletes ``LoadAnnotations`` from a test pipeline, but cannot reach one
    nested in ``TestTimeAug``; with this one the same pipeline serves images with and without
    ground truth. A label path whose file is missing stays an error.

    Args:
        imdecode_backend: ``'pillow'``, ``'cv2'``, ``'tifffile'`` or ``'turbojpeg'``.
        **kwargs: those of ``LoadAnnotations``.

    Raises:
        ValueError: when built, on an unknown backend.
    """

    def __init__(self, *, imdecode_backend: str = 'pillow', **kwargs: Any) -> None:
        checks.one_of('imdecode_backend', imdecode_backend, _BACKENDS)
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results: dict) -> dict:
        """Load ``results['seg_map_path']`` if that key is there."""
        if results.get('seg_map_path') is None:
            return results
        return super().transform(results)
