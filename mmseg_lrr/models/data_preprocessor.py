# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The toolbox's data preprocessor with the authors' padding and their one scale a batch."""

from collections.abc import Mapping
from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.utils import ConfigType, SampleList, stack_batch
from torch import Tensor

from mmseg_lrr.datasets.transforms import ScaleToSquare
from mmseg_lrr.ops import checks
from mmseg_lrr.ops.square_canvas import scale_image, scale_labels


@MODELS.register_module()
class LRRDataPreProcessor(SegDataPreProcessor):
    """``SegDataPreProcessor`` that trains as the authors did (spec section 4).

    Two options concern training alone; testing is the toolbox's.

    Args:
        raw_pad_value: colour, before the mean is subtracted, of the pixels that bring the images of
            a batch to one size (at the bottom and right; their label is ``seg_pad_val``). 128 is
            the authors' padding, so that all that the network sees outside a photograph is of one
            colour. None pads with ``pad_val`` after the normalisation, as the toolbox does.
        scale_augmentation: config of the transform whose scale is drawn once a batch, as in the
            released code, e.g. ``dict(type='ScaleAugmentation')``. The pipeline then has to leave
            the images at their own sizes, and ``size_divisor=32`` (not ``size``) leaves a batch of
            small squares small. None leaves scales to the pipeline, which draws one an image.
        **kwargs: those of ``SegDataPreProcessor``.

    Raises:
        TypeError, ValueError: when built, on a bad value.
    """

    def __init__(self, *, raw_pad_value: float | None = None,
                 scale_augmentation: ConfigType | None = None, **kwargs: Any) -> None:
        self._check(kwargs)
        super().__init__(**kwargs)
        if raw_pad_value is not None:
            raw_pad_value = checks.number('raw_pad_value', raw_pad_value, 0, maximum=255)
        self.raw_pad_value = raw_pad_value
        self.scale_augmentation = None
        if scale_augmentation is not None:
            checks.config('scale_augmentation', scale_augmentation)
            self.scale_augmentation = TRANSFORMS.build(scale_augmentation)
            if not isinstance(self.scale_augmentation, ScaleToSquare):
                raise ValueError('scale_augmentation must be ScaleAugmentation or the like, got '
                                 f'{scale_augmentation!r}')
            if kwargs.get('size') is None and kwargs.get('size_divisor') is None:
                raise ValueError('scale_augmentation needs size_divisor (or size), to which its '
                                 'batches are padded; got neither')

    @staticmethod
    def _check(options: dict[str, Any]) -> None:
        """Refuse values that the toolbox's class would take without a word."""
        given = {name: value for name, value in options.items() if value is not None}
        if 'mean' in given:
            checks.numbers('mean', given['mean'], (1, 3))
        if 'std' in given:
            checks.numbers('std', given['std'], (1, 3), 0, inclusive=False)
        mean, std = given.get('mean', ()), given.get('std', ())
        if len(mean) != len(std):
            raise ValueError('mean and std must be two lists of one length, or both None, got '
                             f'mean={options.get("mean")!r} and std={options.get("std")!r}')
        _check_size('', given)
        if 'test_cfg' in given:
            test_cfg = given['test_cfg']
            if not isinstance(test_cfg, Mapping) or len(test_cfg) != 1:
                raise TypeError('test_cfg must be None or a dict with size or size_divisor, got '
                                f'{test_cfg!r}')
            checks.one_of('test_cfg option', *test_cfg, ('size', 'size_divisor'))
            _check_size('test_cfg.', test_cfg)
        checks.number('pad_val', options.get('pad_val', 0))
        checks.integer('seg_pad_val', options.get('seg_pad_val', 255), 0, 255)
        for name in ('bgr_to_rgb', 'rgb_to_bgr'):
            checks.boolean(name, options.get(name, False))
        if options.get('bgr_to_rgb') and options.get('rgb_to_bgr'):
            raise ValueError('bgr_to_rgb and rgb_to_bgr are one exchange of channels; at most one '
                             'may be True, got True for both')
        if not callable(given.get('batch_augments', callable)):
            raise TypeError('batch_augments must be None or a function of inputs and data samples, '
                            f'got {given["batch_augments"]!r}')

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: ``inputs``, a list of (3, H, W) images, and ``data_samples``.
            training: whether to scale and pad as in training.

        Returns:
            The batch, ``inputs`` as (N, 3, H, W).
        """
        if training and (self.scale_augmentation is not None or self.raw_pad_value is not None):
            data = self.cast_data(data)
            inputs, samples = data['inputs'], data['data_samples']
            if self.scale_augmentation is not None:
                inputs = self._scale(inputs, samples)
            if self.raw_pad_value is not None:
                stacked, samples = stack_batch(
                    inputs=list(inputs), data_samples=samples, size=self.size,
                    size_divisor=self.size_divisor, pad_val=self.raw_pad_value,
                    seg_pad_val=self.seg_pad_val)
                inputs = list(stacked)
            data = dict(inputs=inputs, data_samples=samples)
        return super().forward(data, training)

    def _scale(self, inputs: list[Tensor], samples: SampleList) -> list[Tensor]:
        """Scale all images and their labels by one draw."""
        augmentation = self.scale_augmentation
        drawn = augmentation.draw()
        scaled = []
        for image, sample in zip(inputs, samples, strict=True):
            long_side, side = augmentation.sides(drawn, tuple(image.shape[1:]))
            scaled.append(scale_image(image, long_side, side, augmentation.pad_value))
            labels = sample.gt_sem_seg.data
            # Taken away first: a sample's field refuses data of another size than it has.
            del sample.gt_sem_seg.data
            sample.gt_sem_seg.data = scale_labels(
                labels[0], long_side, side, augmentation.seg_pad_value)[None]
        return scaled


def _check_size(where: str, options: Mapping) -> None:
    """Check the size, or its divisor, that images are padded to."""
    if 'size' in options and len(checks.integers(f'{where}size', options['size'], 1)) != 2:
        raise ValueError(f'{where}size must be (height, width), got {options["size"]!r}')
    if 'size_divisor' in options:
        checks.integer(f'{where}size_divisor', options['size_divisor'], 1)
    if {'size', 'size_divisor'} <= set(options):
        raise ValueError('size and size_divisor are two ways to say one thing, got '
                         f'size={options["size"]!r} and size_divisor={options["size_divisor"]!r}')
