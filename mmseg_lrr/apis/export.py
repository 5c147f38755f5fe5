# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A whole model as one ONNX file."""

from pathlib import Path

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmseg_lrr.files import replacing
from mmseg_lrr.ops.pyramid import fit_map

#: Height and width that the file is compared at, which strided layers round up, or down, at every
#: stage, and the difference that is accepted, over the largest score.
_OTHER_SIZE = (97, 127)
_TOLERANCE = 1e-3


class ExportedModel(nn.Module):
    """Backbone and head as a function of one tensor, without data samples.

    Pads the image with zeros, on the right and below, to what the model's data preprocessor makes
    it divisible by in a test (``test_cfg.size_divisor``), as backbones need that round down, or
    whose own padding the exporter cannot follow.

    Args:
        model: Segmentor with an ``LRRHead``.
        level_outputs: Whether to give every level's scores too.
    """

    def __init__(self, model: EncoderDecoder, level_outputs: bool = False) -> None:
        super().__init__()
        self.model = model
        self.level_outputs = level_outputs
        options = getattr(model.data_preprocessor, 'test_cfg', None) or {}
        self.divisor = options.get('size_divisor', 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the scores of a preprocessed (N, 3, H, W) image.

        Returns:
            ``(scores, )``, (N, C, H, W) at the size of the image; with ``level_outputs`` followed
            by every level's scores at its own resolution, coarse to fine.
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
        scores = fit_map(scores, (height, width))
        return (scores, *levels.values()) if self.level_outputs else (scores, )


def export_onnx(model: EncoderDecoder, path: str | Path, *, level_outputs: bool = False,
                size: tuple[int, int] = (256, 320)) -> list[str]:
    """Write a model as ONNX, for any height and width, and compare it at another size.

    Needs torch >= 2.5 and the extra ``onnx`` of this package.

    Args:
        model: Segmentor with an ``LRRHead``. Its input in the file is ``image``, float32
            (1, 3, H, W), preprocessed: RGB, minus mean, over std.
        path: File to write.
        level_outputs: Whether the levels' scores are outputs as well, ``scores_32x``, ...
        size: Height and width of the image that the model is traced with; no limit to others.

    Returns:
        Names of the outputs.

    Raises:
        ValueError: The file does not answer as the model does at a size of no multiple of 32.
    """
    exported = ExportedModel(model, level_outputs).eval()
    names = ['scores'] + [f'scores_{level}' for level in model.decode_head.levels if level_outputs]
    device = next(model.parameters()).device
    height, width = torch.export.Dim('height', min=32), torch.export.Dim('width', min=32)
    program = torch.onnx.export(
        exported, (torch.rand(1, 3, *size, device=device), ), dynamo=True, input_names=['image'],
        output_names=names, dynamic_shapes=({2: height, 3: width}, ), verbose=False)
    with replacing(path) as temporary:
        program.save(str(temporary), external_data=False)
        _check_other_size(temporary, exported, torch.rand(1, 3, *_OTHER_SIZE, device=device))
    return names


def _check_other_size(path: Path, exported: ExportedModel, image: Tensor) -> None:
    """Refuse a file that does not answer as the model does.

    The exporter may take for a rule what was so at the size that it saw: how a backbone pads, say.
    """
    import onnxruntime

    with torch.no_grad():
        expected = exported(image)
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    try:
        found = session.run(None, {'image': image.cpu().numpy()})
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(
                torch.from_numpy(one), other.cpu(), rtol=0,
                atol=_TOLERANCE * float(other.abs().max()))
    except Exception as error:  # onnxruntime's have no common class of their own.
        raise ValueError(
            f'the file would be wrong for an image of {image.shape[2]}x{image.shape[3]} pixels. '
            'Let the images be padded as that of the trace is: model.data_preprocessor.test_cfg='
            f'dict(size_divisor=32). {error}') from error
