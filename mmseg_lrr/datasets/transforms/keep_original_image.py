# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Carries the photograph to where the CRF needs it."""

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class KeepOriginalImage(BaseTransform):
    """Keep the image as loaded, for the CRF after the network.

    Put it right after the image is loaded and name ``ori_img`` in ``PackSegInputs``' meta_keys:
    other keys beside inputs and data_samples would be dropped by the data preprocessor, and
    reading the path again would fail for images given as arrays.

    Required keys: img. Added keys: ori_img, ``(H, W, 3)`` BGR as loaded; a grey image's channel is
    repeated, and channels after the third are left out.
    """

    def transform(self, results: dict) -> dict:
        """Copy ``results['img']``, which later transforms change."""
        image = results['img'].reshape(*results['img'].shape[:2], -1)[..., :3]
        results['ori_img'] = image.repeat(3 // image.shape[2], axis=2)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
