# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' random scales, each image centred on a square."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.resampling import scale_image, scale_labels

from .check_image import MAX_RATIO, MAX_SIDE, check_image, check_label_size


class ScaleToSquare(BaseTransform):
    """Scale an image at random and crop or pad it about its centre to a square.

    The image is scaled with bicubic interpolation, its labels to the nearest. The result is a
    square of side ``min(canvas, long side)``: each axis is cropped or padded about its centre, not
    at random. So small scales give squares smaller than ``canvas``, which the data preprocessor has
    to bring to one size (``LRRDataPreProcessor``, ``raw_pad_value=128``).

    Required keys: img; labels in the keys that seg_fields lists. Modified keys: img (float32),
    img_shape, the labels. Added keys: scale, scale_factor (width, height), keep_ratio.

    Args:
        canvas: side of the largest square in pixels.
        pad_value: colour of the padding in every channel, before the mean is subtracted.
        seg_pad_value: label of the padding.
    """

    def __init__(self, *, canvas: int, pad_value: float, seg_pad_value: int) -> None:
        self.canvas = checks.integer('canvas', canvas, 1, MAX_SIDE)
        self.pad_value = checks.number('pad_value', pad_value, 0, maximum=255)
        self.seg_pad_value = checks.integer('seg_pad_value', seg_pad_value, 0, 255)

    def draw(self) -> float:
        """Draw a scale."""
        # Not an abstract method: cache_randomness cannot be looked up on the class.
        raise NotImplementedError

    @abstractmethod
    def long_side(self, drawn: float, size: tuple[int, int]) -> int:
        """Say how long the long side of an image of ``size`` (height, width) becomes, in pixels.

        Args:
            drawn: what :meth:`draw` gave.
            size: of the image.
        """

    def sides(self, drawn: float, size: tuple[int, int]) -> tuple[int, int]:
        """Say how large an image of ``size`` (height, width) becomes.

        Returns:
            Long side of the scaled image, and side of the square, in pixels.
        """
        long_side = self.long_side(drawn, size)
        return long_side, min(self.canvas, long_side)

    def transform(self, results: dict) -> dict:
        """Scale ``results['img']``, (H, W, 3) or grey, and its labels.

        Raises:
            TypeError, ValueError: if it is no image, or its labels are of another size; the message
                names the file.
        """
        image = check_image(results)
        size = image.shape[:2]
        for key in results.get('seg_fields', ()):
            check_label_size(results, results[key], size)
        long_side, side = self.sides(self.draw(), size)
        planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        scaled = scale_image(planes, long_side, side, self.pad_value)
        results['img'] = np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())
        for key in results.get('seg_fields', ()):
            labels = torch.from_numpy(np.ascontiguousarray(results[key]))
            results[key] = scale_labels(labels, long_side, side, self.seg_pad_value).numpy()
        factor = long_side / max(size)
        results.update(
            img_shape=(side, side), scale=(side, side), scale_factor=(factor, factor),
            keep_ratio=True)
        return results


@TRANSFORMS.register_module()
class ScaleAugmentation(ScaleToSquare):
    """The released code's scales (spec section 4): whole steps, the same for every image.

    A step s is drawn uniformly from a range of integers; the image's long side becomes
    ``canvas + divisor * s`` pixels, 288 to 704 by default. Everything else, and the keys, are
    :class:`ScaleToSquare`'s.

    The released code draws one step a batch; this draws one an image. ``LRRDataPreProcessor`` does
    the former, with this class's config.

    Args:
        steps: least and greatest s, both drawn too.
        canvas: side of the largest square in pixels.
        divisor: pixels of the long side a step.
        pad_value: colour of the padding in every channel, before the mean is subtracted.
        seg_pad_value: label of the padding.
    """

    def __init__(self, *, steps: Sequence[int] = (-3, 10), canvas: int = 384, divisor: int = 32,
                 pad_value: float = 128, seg_pad_value: int = 255) -> None:
        super().__init__(canvas=canvas, pad_value=pad_value, seg_pad_value=seg_pad_value)
        steps = checks.integers('steps', steps)
        self.divisor = checks.integer('divisor', divisor, 1, MAX_SIDE)
        if len(steps) != 2 or steps[0] > steps[1] or not (
                1 <= canvas + divisor * steps[0] and canvas + divisor * steps[1] <= MAX_SIDE):
            raise ValueError(
                'steps must be (least, greatest), in order, with canvas + divisor * step from 1 to '
                f'{MAX_SIDE} pixels, got {steps} with canvas={canvas}, divisor={divisor}')
        self.steps = steps

    @cache_randomness
    def draw(self) -> int:
        """Draw a step s."""
        return int(np.random.randint(self.steps[0], self.steps[1] + 1))

    def long_side(self, drawn: int, size: tuple[int, int]) -> int:
        """``canvas + divisor * s``, whatever the image's size."""
        return self.canvas + self.divisor * drawn

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(steps={self.steps}, canvas={self.canvas}, '
                f'divisor={self.divisor}, pad_value={self.pad_value}, '
                f'seg_pad_value={self.seg_pad_value})')


@TRANSFORMS.register_module()
class RatioAugmentation(ScaleToSquare):
    """Scale an image by a random ratio of its own size (the poster's words: 0.5x-1.5x).

    Unlike the released code's steps, the ratio is drawn from a continuous range, and a small image
    stays small. Everything else, and the keys, are :class:`ScaleToSquare`'s.

    Args:
        ratio_range: least and greatest ratio.
        canvas: side of the largest square in pixels.
        pad_value: colour of the padding in every channel, before the mean is subtracted.
        seg_pad_value: label of the padding.
    """

    def __init__(self, *, ratio_range: Sequence[float] = (0.5, 1.5), canvas: int = 384,
                 pad_value: float = 128, seg_pad_value: int = 255) -> None:
        super().__init__(canvas=canvas, pad_value=pad_value, seg_pad_value=seg_pad_value)
        if not isinstance(ratio_range, Sequence) or len(ratio_range) != 2:
            raise ValueError(f'ratio_range must be (least, greatest), got {ratio_range!r}')
        least, greatest = (
            checks.number('ratio_range', ratio, 0, inclusive=False, maximum=MAX_RATIO)
            for ratio in ratio_range)
        if least > greatest:
            raise ValueError(f'ratio_range must be (least, greatest), in order, got {ratio_range}')
        self.ratio_range = (least, greatest)

    @cache_randomness
    def draw(self) -> float:
        """Draw a ratio."""
        return float(np.random.uniform(*self.ratio_range))

    def long_side(self, drawn: float, size: tuple[int, int]) -> int:
        """The image's own long side times the ratio, to whole pixels."""
        return max(int(drawn * max(size) + 0.5), 1)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(ratio_range={self.ratio_range}, canvas={self.canvas}, '
                f'pad_value={self.pad_value}, seg_pad_value={self.seg_pad_value})')
