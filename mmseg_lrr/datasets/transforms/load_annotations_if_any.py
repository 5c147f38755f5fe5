# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Annotations for images that have them."""

from typing import Any

from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_lrr.ops import checks

from .check_image import check_label_size

# What damaged or monstrous files make Pillow raise.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
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
        """Load ``results['seg_map_path']`` if that key is there.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it cannot be read, or is not of the image's size (``ori_shape``).
        """
        if results.get('seg_map_path') is None:
            return results
        try:
            results = super().transform(results)
        except FileNotFoundError:
            raise
        except _UNREADABLE as error:
            # What decoders raise does not name the file.
            raise ValueError(
                f'the labels {results["seg_map_path"]} cannot be read: {error}') from error
        if 'ori_shape' in results:
            size = tuple(results['ori_shape'][:2])
            labels = results['gt_seg_map']
            if labels.ndim < 2 and 1 in size and labels.size == size[0] * size[1]:
                # The toolbox drops axes of length 1.
                results['gt_seg_map'] = labels = labels.reshape(size)
            check_label_size(results, labels, size)
        return results
