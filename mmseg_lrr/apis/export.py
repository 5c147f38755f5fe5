# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A whole model as one ONNX file."""

import logging
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmseg_lrr.files import replacing
from mmseg_lrr.ops.pyramid import fit_map

#: Height and width that the file is compared at, which strided layers round up, or down, at every
#: stage, and the difference that is accepted, over the largest score,
#: or of labels the share.
_OTHER_SIZE = (97, 127)
_TOLERANCE = 1e-3


class ExportedFile(NamedTuple):
    """What was written: its outputs, and how it was compared with the model.

    Attributes:
        outputs: Their names.
        compared: Shape of the image, (N, 3, H, W); the file takes any N if it is not 1.
        difference: Largest difference of a score, over the largest score, or share of labels.
    """

    outputs: list[str]
    compared: tuple[int, ...]
    difference: float


class ExportedModel(nn.Module):
    """Backbone and head as a function of one tensor, without data samples.

    Pads the image with zeros, on the right and below, to what the model's data preprocessor makes
    it divisible by in a test (``test_cfg.size_divisor``), as backbones need that round down, or
    whose own padding the exporter cannot follow.

    Args:
        model: Segmentor with an ``LRRHead``.
        level_outputs: Whether to give every level's scores too.
        labels: Whether to give the classes of the best scores in place of the scores.
    """

    def __init__(self, model: EncoderDecoder, level_outputs: bool = False,
                 labels: bool = False) -> None:
        super().__init__()
        self.model = model
        self.level_outputs = level_outputs
        self.labels = labels
        options = getattr(model.data_preprocessor, 'test_cfg', None) or {}
        self.divisor = options.get('size_divisor', 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the scores of a preprocessed (N, 3, H, W) image.

        Returns:
            ``(scores, )``, (N, C, H, W) at the size of the image, or ``(labels, )``, (N, H, W)
            int32; with ``level_outputs`` followed by every level's scores at its own resolution,
            coarse to fine.
        """
        head = self.model.decode_head
        height, width = image.shape[2:]
        padded = image
        if self.divisor > 1:
            padded = F.pad(image, (0, -width % self.divisor, 0, -height % self.divisor))
        levels = head.forward_levels(self.model.extract_feat(padded))
        finest = list(levels)[-1]
        scores, factor = levels[finest], head.level_strides[finest]
        if factor > 1:
            scores = F.interpolate(
                scores, scale_factor=factor, mode='bilinear', align_corners=False)
        result = fit_map(scores, (height, width))
        if self.labels:
            result = result.argmax(dim=1).to(torch.int32)
        return (result, *levels.values()) if self.level_outputs else (result, )


def export_onnx(model: EncoderDecoder, path: str | Path, *, level_outputs: bool = False,
                labels: bool = False, size: tuple[int, int] = (256, 320)) -> ExportedFile:
    """Write a model as ONNX, for any height and width, and compare it at another size.

    For any number of images, too, unless the exporter cannot follow the backbone there.

    Needs torch >= 2.5 and the extra ``onnx`` of this package.

    Args:
        model: Segmentor with an ``LRRHead``. Its input in the file is ``image``, float32
            (N, 3, H, W), preprocessed: RGB, minus mean, over std.
        path: File to write.
        level_outputs: Whether the levels' scores are outputs as well, ``scores_32x``, ...
        labels: Whether the first output is ``labels``, (N, H, W) int32, in place of ``scores``.
        size: Height and width of the image that the model is traced with; no limit to others.

    Raises:
        ValueError: The file does not answer as the model does at a size of no multiple of 32.
    """
    exported = ExportedModel(model, level_outputs, labels).eval()
    names = ['labels' if labels else 'scores'] + [
        f'scores_{level}' for level in model.decode_head.levels if level_outputs]
    try:
        return _export(exported, Path(path), names, size, batch=2)
    except Exception as error:  # torch's, onnxscript's and onnxruntime's have no common class.
        print_log(f'the file will take one image at a time; for more: {str(error)[:200]}',
                  logger='current', level=logging.WARNING)
    return _export(exported, Path(path), names, size, batch=1)


def _export(exported: ExportedModel, path: Path, names: list[str], size: tuple[int, int],
            batch: int) -> ExportedFile:
    """Write for any number of images if ``batch`` is more than 1."""
    device = next(exported.parameters()).device
    dimensions = {2: torch.export.Dim('height', min=32), 3: torch.export.Dim('width', min=32)}
    if batch > 1:
        dimensions[0] = torch.export.Dim('batch')
    program = torch.onnx.export(
        exported, (torch.rand(batch, 3, *size, device=device), ), dynamo=True,
        input_names=['image'], output_names=names, dynamic_shapes=(dimensions, ), verbose=False)
    image = torch.rand(batch + (batch > 1), 3, *_OTHER_SIZE, device=device)
    with replacing(path) as temporary:
        program.save(str(temporary), external_data=False)
        difference = _check_other_size(temporary, exported, image)
    return ExportedFile(names, tuple(image.shape), difference)


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest score, or the share of labels that differ."""
    if not expected.is_floating_point():
        return float((found != expected).float().mean())
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _check_other_size(path: Path, exported: ExportedModel, image: Tensor) -> float:
    """Refuse a file that does not answer as the model does.

    The exporter may take for a rule what was so at the size that it saw: how a backbone pads, say.
    """
    import onnxruntime

    with torch.no_grad():
        expected = exported(image)
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    try:
        found = session.run(None, {'image': image.cpu().numpy()})
        largest = max(difference(torch.from_numpy(one), other.cpu())
                      for one, other in zip(found, expected, strict=True))
        if not largest <= _TOLERANCE:
            raise ValueError(f'Its outputs differ by {largest:.2g} of the largest score.')
        return largest
    except Exception as error:  # onnxruntime's have no common class of their own.
        raise ValueError(
            f'the file would be wrong for an image of {image.shape[2]}x{image.shape[3]} pixels. '
            'Let the images be padded as that of the trace is: model.data_preprocessor.test_cfg='
            f'dict(size_divisor=32). {error}') from error
