# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Carries the photograph to where the CRF needs it."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeepOriginalImage(BaseTransform):
    """Keep the image as loaded, for the CRF after the network.

    Put it right after the image is loaded and name ``ori_img`` in ``PackSegInputs``' meta_keys:
    other keys beside inputs and data_samples would be dropped by the data preprocessor, and
    reading the path again would fail for images given as arrays.

    Required keys: img. Added keys: ori_img, (H, W, 3) BGR as loaded; a grey image's channel is
    repeated.
    """

    def transform(self, results: dict) -> dict:
        """Copy ``results['img']``, which later transforms change."""
        image = results['img']
        if image.ndim == 2 or image.shape[2] == 1:
            results['ori_img'] = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        else:
            results['ori_img'] = image.copy()
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
