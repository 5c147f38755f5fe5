# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' test-time resize onto a canvas of whole 32-pixel blocks."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_lrr.ops.resampling import canvas_size, fitted_size, resize_bicubic


@TRANSFORMS.register_module()
class ResizeToCanvas(BaseTransform):
    """Resize an image, aspect kept, and centre it on a canvas of multiples of 32, as the authors.

    The image is scaled by the one factor that fits it (antialiased bicubic, not rounded back to
    integers); ceil(rest / 2) rows or columns of padding lie above and to the left. A 375x500
    image at scales 0.6, 0.8 and 1.0 becomes 216x288, 288x384 and 384x512 on a canvas of 224x288,
    288x416 and 384x512. Put it after a flip, never before, and load annotations after it: they
    stay at the original size.

    Required keys: img. Modified keys: img (float32), img_shape, pad_shape. Added keys:
    scale_factor (width, height), keep_ratio, padding_size (left, right, top, bottom), which
    mmseg's and this package's post-processing cut off: name it in ``PackSegInputs``' meta_keys.

    Args:
        scale: Factor from the image's size to the canvas's.
        pad_value: What lies around the image, one number or one per channel (BGR as loaded), for
            mmseg's data preprocessor. With ``LRRDataPreProcessor`` the network sees zeros there in
            any case.
        divisor: Side of a block in pixels.
    """

    def __init__(self, *, scale: float = 1.0, pad_value: float | Sequence[float] = 0,
                 divisor: int = 32) -> None:
        if scale <= 0:
            # The canvas would be a single block, whatever the image's size.
            raise ValueError(f'scale must be positive, got {scale}')
        self.scale = scale
        self.pad_value = pad_value
        self.divisor = divisor

    def transform(self, results: dict) -> dict:
        """Resize and pad ``results['img']``, ``(H, W)`` or of any number of channels."""
        size = results['img'].shape[:2]
        image = results['img'].reshape(*size, -1)
        canvas = canvas_size(size, self.scale, self.divisor)
        height, width = fitted_size(size, canvas)
        planes = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)
        resized = resize_bicubic(planes[None], (height, width))[0].permute(1, 2, 0).numpy()
        top, left = -((height - canvas[0]) // 2), -((width - canvas[1]) // 2)
        padded = np.full((*canvas, image.shape[2]), self.pad_value, np.float32)
        padded[top:top + height, left:left + width] = resized
        results.update(
            img=padded,
            img_shape=canvas,
            pad_shape=canvas,
            scale_factor=(width / size[1], height / size[0]),
            keep_ratio=True,
            padding_size=[left, canvas[1] - width - left, top, canvas[0] - height - top])
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, pad_value={self.pad_value}, '
                f'divisor={self.divisor})')
