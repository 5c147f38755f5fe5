# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""mmseg's data preprocessor with the authors' padding."""

from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.utils import stack_batch


@MODELS.register_module()
class LRRDataPreProcessor(SegDataPreProcessor):
    """``SegDataPreProcessor`` that pads as the authors did.

    In testing the network sees zeros where ``ResizeToCanvas`` has padded an image (the samples'
    ``padding_size``), whatever the mean. Source: docs/method.md, "Training" and "Testing".

    Args:
        raw_pad_value: Colour, before the mean is subtracted, of the pixels that bring the images of
            a batch to one size (at the bottom and right; their label is ``seg_pad_val``). 128 is
            the authors' padding, so that all that the network sees outside a photograph is of one
            colour. None pads with ``pad_val`` after the normalisation, as mmseg does.
        **kwargs: Those of ``SegDataPreProcessor``.
    """

    def __init__(self, *, raw_pad_value: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.raw_pad_value = raw_pad_value

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: ``inputs``, a list of ``(3, H, W)`` images, and ``data_samples``.
            training: Whether to scale and pad as in training.

        Returns:
            The batch, ``inputs`` as ``(N, 3, H, W)``.
        """
        if training:
            data = self.cast_data(data)
            if self.raw_pad_value is not None:
                inputs, samples = stack_batch(
                    list(data['inputs']), data['data_samples'], self.size, self.size_divisor,
                    self.raw_pad_value, self.seg_pad_val)
                data = dict(inputs=list(inputs), data_samples=samples)
            return super().forward(data, training)
        batch = super().forward(data, training)
        samples = batch['data_samples'] or [{}] * len(data['inputs'])
        for raw, image, sample in zip(data['inputs'], batch['inputs'], samples, strict=True):
            left, right, top, bottom = sample.get('padding_size', (0, 0, 0, 0))
            height, width = raw.shape[1:]
            canvas = image[:, :height, :width]
            canvas[:, :top] = canvas[:, height - bottom:] = 0
            canvas[:, :, :left] = canvas[:, :, width - right:] = 0
        return batch
