# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A whole model as one ONNX file."""

import inspect
from pathlib import Path

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmseg_lrr.models.layers import crop
from mmseg_lrr.replacing import replacing


class ExportedModel(nn.Module):
    """Backbone and head as a function of one tensor, without data samples.

    Pads the image with zeros, on the right and below, to what the model's data preprocessor makes
    it divisible by in a test (``test_cfg.size_divisor``), as backbones that round down need.

    Args:
        model: an ``EncoderDecoder`` with an ``LRRHead``.
        level_outputs: whether every level's scores are given too.
    """

    def __init__(self, model: EncoderDecoder, level_outputs: bool = False) -> None:
        super().__init__()
        self.model = model
        self.level_outputs = level_outputs
        options = getattr(model.data_preprocessor, 'test_cfg', None) or {}
        self.divisor = options.get('size_divisor', 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Scores of a preprocessed (N, 3, H, W) image.

        Returns:
            ``(scores, )``, (N, C, H, W) at the size of the image; with ``level_outputs`` followed
            by every level's scores at its own resolution, coarse to fine.
        """
        head = self.model.decode_head
        padded = image
        if self.divisor > 1:
            bottom, right = (-side % self.divisor for side in image.shape[2:])
            padded = F.pad(image, (0, right, 0, bottom))
        levels = head.forward_levels(self.model.extract_feat(padded))
        finest = head.levels[-1]
        scores, factor = levels[finest], head.level_strides[finest]
        if factor > 1:
            scores = F.interpolate(
                scores, scale_factor=factor, mode='bilinear', align_corners=False)
        scores = crop(scores, image.shape[2:])
        return (scores, *levels.values()) if self.level_outputs else (scores, )


def export_onnx(model: EncoderDecoder, path: str | Path, *, level_outputs: bool = False,
                size: tuple[int, int] = (256, 320)) -> list[str]:
    """Write a model as ONNX, for any height and width.

    Args:
        model: an ``EncoderDecoder`` with an ``LRRHead``. Its input there is ``image``, float32
            (1, 3, H, W), preprocessed: RGB, minus mean, over std.
        path: file to write.
        level_outputs: whether the levels' scores are outputs as well, ``scores_32x``, ...
        size: height and width of the image that the model is traced with; no limit to others.

    Returns:
        Names of the outputs.

    Raises:
        ImportError: if onnx or onnxscript is not installed, or torch is older than 2.5, whose
            exporter cannot leave height and width open.
        TypeError: if the model's head is not an LRRHead.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f'exporting needs {error.name}: pip install "mmseg-lrr[onnx]"') from error
    if 'dynamic_shapes' not in inspect.signature(torch.onnx.export).parameters:
        raise ImportError(f'exporting needs torch >= 2.5, got {torch.__version__}')
    head = model.decode_head
    if not hasattr(head, 'forward_levels'):
        raise TypeError(f'decode_head must be an LRRHead, got {type(head).__name__}')
    exported = ExportedModel(model, level_outputs).eval()
    names = ['scores'] + [f'scores_{level}' for level in head.levels if level_outputs]
    image = torch.rand(1, 3, *size, device=next(model.parameters()).device)
    height, width = torch.export.Dim('height', min=32), torch.export.Dim('width', min=32)
    program = torch.onnx.export(
        exported, (image, ), dynamo=True, input_names=['image'], output_names=names,
        dynamic_shapes=({2: height, 3: width}, ), verbose=False)
    with replacing(path) as temporary:
        program.save(str(temporary), external_data=False)
    return names
