# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The authors' random scales, each image centred on a square."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from mmseg_lrr.ops.resampling import scale_image, scale_labels


class ScaleToSquare(BaseTransform):
    """Scale an image at random and crop or pad it about its centre to a square.

    The image is scaled with bicubic interpolation (8-bit colours stay 8-bit), its labels to the
    nearest. The result is a square of side ``min(canvas, long side)``: each axis is cropped or
    padded about its centre, not at random. So small scales give squares smaller than ``canvas``,
    which the data preprocessor has to bring to one size (``LRRDataPreProcessor``,
    ``raw_pad_value=128``).

    Required keys: img; labels in the keys that seg_fields lists. Modified keys: img, img_shape, the
    labels. Added keys: scale, scale_factor (width, height), keep_ratio.

    Args:
        canvas: Side of the largest square in pixels.
        pad_value: Colour of the padding in every channel, before the mean is subtracted.
        seg_pad_value: Label of the padding.

    Attributes:
        drawn: The scale, where ``OneScalePerBatch`` draws it; None, where each image does.
    """

    drawn: float | None = None

    def __init__(self, *, canvas: int = 384, pad_value: float = 128,
                 seg_pad_value: int = 255) -> None:
        self.canvas = canvas
        self.pad_value = pad_value
        self.seg_pad_value = seg_pad_value

    def draw(self) -> float:
        """Draw a scale."""
        # Not an abstract method: cache_randomness cannot be looked up on the class.
        raise NotImplementedError

    @abstractmethod
    def long_side(self, drawn: float, size: tuple[int, int]) -> int:
        """Say how long the long side of an image of ``size`` (height, width) becomes, in pixels.

        Args:
            drawn: What :meth:`draw` gave.
            size: Of the image.
        """

    def transform(self, results: dict) -> dict:
        """Scale ``results['img']``, ``(H, W)`` or of any number of channels, and its labels."""
        size = results['img'].shape[:2]
        image = results['img'].reshape(*size, -1)
        drawn = self.draw() if self.drawn is None else self.drawn
        long_side = self.long_side(drawn, size)
        side = min(self.canvas, long_side)
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

    def __repr__(self) -> str:
        options = ', '.join(f'{name}={value}' for name, value in vars(self).items())
        return f'{type(self).__name__}({options})'


@TRANSFORMS.register_module()
class ScaleAugmentation(ScaleToSquare):
    """The released code's scales: whole steps, the same for every image.

    A step s is drawn uniformly from a range of integers; the image's long side becomes
    ``canvas + divisor * s`` pixels, 288 to 704 by default. Everything else, and the keys, are
    :class:`ScaleToSquare`'s.

    The released code draws one step per batch, as does the data set ``OneScalePerBatch``; by itself
    this draws one per image.

    Args:
        steps: Least and greatest s, both drawn too.
        divisor: Pixels of the long side per step.
        **kwargs: ``canvas``, ``pad_value`` and ``seg_pad_value`` of :class:`ScaleToSquare`.
    """

    def __init__(self, *, steps: Sequence[int] = (-3, 10), divisor: int = 32, **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)
        self.divisor = divisor

    @cache_randomness
    def draw(self) -> int:
        """Draw a step s."""
        return int(np.random.randint(self.steps[0], self.steps[1] + 1))

    def long_side(self, drawn: int, size: tuple[int, int]) -> int:
        """``canvas + divisor * s``, whatever the image's size."""
        return self.canvas + self.divisor * drawn


@TRANSFORMS.register_module()
class RatioAugmentation(ScaleToSquare):
    """Scale an image by a random ratio of its own size (the poster's words: 0.5x-1.5x).

    Unlike the released code's steps, the ratio is drawn from a continuous range, and a small image
    stays small. Everything else, and the keys, are :class:`ScaleToSquare`'s.

    Args:
        ratio_range: Least and greatest ratio.
        **kwargs: ``canvas``, ``pad_value`` and ``seg_pad_value`` of :class:`ScaleToSquare`.
    """

    def __init__(self, *, ratio_range: Sequence[float] = (0.5, 1.5), **kwargs) -> None:
        super().__init__(**kwargs)
        self.ratio_range = tuple(ratio_range)

    @cache_randomness
    def draw(self) -> float:
        """Draw a ratio."""
        return float(np.random.uniform(*self.ratio_range))

    def long_side(self, drawn: float, size: tuple[int, int]) -> int:
        """The image's own long side times the ratio, to whole pixels."""
        return max(int(drawn * max(size) + 0.5), 1)
