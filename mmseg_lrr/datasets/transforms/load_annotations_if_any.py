# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Annotations for images that have them."""

from collections.abc import Mapping
from importlib.util import find_spec

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from mmseg_lrr.ops import checks

from .check_image import check_label_size

# Turbojpeg, the toolbox's fourth, knows colours and grey levels, but no labels.
_BACKENDS = ('pillow', 'cv2', 'tifffile')


@TRANSFORMS.register_module()
class LoadAnnotationsIfAny(LoadAnnotations):
    """The toolbox's ``LoadAnnotations``, doing nothing where there is no label path.

    ``MMSegInferencer`` deletes ``LoadAnnotations`` from a test pipeline, but cannot reach one
    nested in ``TestTimeAug``; with this one the same pipeline serves images with and without
    ground truth. A label path whose file is missing stays an error. So is a label that is no
    integer 0..255, of which the toolbox would keep the lowest eight bits.

    Args:
        imdecode_backend: ``'pillow'``, ``'cv2'`` or ``'tifffile'``.
        reduce_zero_label: whether the data set's labels are reduced by 1, if it has to be so; None
            takes what the data set says.
        backend_args: of the file backend; None chooses one by the path.

    Raises:
        TypeError, ValueError: when built, on a bad value, or a backend that is not installed.
    """

    def __init__(self, *, imdecode_backend: str = 'pillow', reduce_zero_label: bool | None = None,
                 backend_args: Mapping | None = None) -> None:
        checks.one_of('imdecode_backend', imdecode_backend, _BACKENDS)
        if imdecode_backend == 'tifffile' and find_spec('tifffile') is None:
            raise ValueError("imdecode_backend='tifffile' needs the package tifffile, which is not "
                             'installed')
        if reduce_zero_label is not None:
            checks.boolean('reduce_zero_label', reduce_zero_label)
        if backend_args is not None and not isinstance(backend_args, Mapping):
            raise TypeError(f'backend_args must be a dict, got {backend_args!r}')
        super().__init__(imdecode_backend=imdecode_backend, reduce_zero_label=reduce_zero_label,
                         backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Load ``results['seg_map_path']`` if that key is there.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: if it cannot be read, holds other labels than 0..255, or is not of the
                image's size (``ori_shape``).
        """
        if results.get('seg_map_path') is None:
            return results
        results = super().transform(results)
        if 'ori_shape' in results:
            check_label_size(results, results['gt_seg_map'], results['ori_shape'])
        return results

    def _load_seg_map(self, results: dict) -> None:
        """Do what the toolbox does, which names no file and drops axes of length 1."""
        path = results['seg_map_path']
        labels = self._decode(path, fileio.get(path, backend_args=self.backend_args))
        reduced = results['reduce_zero_label']
        if self.reduce_zero_label not in (None, reduced):
            raise ValueError(f'reduce_zero_label is {self.reduce_zero_label}, but the data set of '
                             f'{path} says {reduced}')
        if reduced:
            # 0 and 255 are both ignored.
            labels = np.where(np.isin(labels, (0, 255)), np.uint8(255), labels - np.uint8(1))
        before = labels.copy()
        for old, new in (results.get('label_map') or {}).items():
            labels[before == old] = new
        results['gt_seg_map'] = labels
        results['seg_fields'].append('gt_seg_map')

    def _decode(self, path: str, content: bytes) -> np.ndarray:
        """Return the labels of a file's content as uint8, (H, W) unless they are colours."""
        try:
            labels = mmcv.imfrombytes(content, flag='unchanged', backend=self.imdecode_backend)
        except Exception as error:
            # What a decoder raises is its own, and does not name the file.
            raise ValueError(f'the labels {path} cannot be read: {error}') from error
        if labels is None:
            raise ValueError(f'the labels {path} cannot be read: damaged, or no image')
        with np.errstate(invalid='ignore'):  # NaN, and floats beyond all integers
            kept = labels.astype(np.uint8)
        if (kept != labels).any():
            raise ValueError(f'the labels {path} hold {labels[kept != labels][0]}; labels are '
                             'integers 0..255')
        return kept[..., 0] if kept.ndim == 3 and kept.shape[2] == 1 else kept
