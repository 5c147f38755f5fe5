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

#: Height and width that the file is compared at, and the difference that is accepted, over the
#: largest score.
_OTHER_SIZE = (97, 131)
_TOLERANCE = 1e-3


class ExportedModel(nn.Module):
    """Backbone and head as a function of one tensor, without data samples.

    Pads the image with zeros, on the right and below, to what the model's data preprocessor makes
    it divisible by in a test (``test_cfg.size_divisor``), as backbones need that round down, or
    whose own padding the exporter cannot follow.

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
    """Write a model as ONNX, for any height and width, and compare it at another size.

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
        ValueError: if the file does not answer as the model does at a size of no multiple of 32.
        FileExistsError: if there is something at ``path`` that is no file.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
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
    device = next(model.parameters()).device
    height, width = torch.export.Dim('height', min=32), torch.export.Dim('width', min=32)
    # A place that cannot be written to is refused before the minutes of exporting.
    with replacing(path) as temporary:
        program = torch.onnx.export(
            exported, (torch.rand(1, 3, *size, device=device), ), dynamo=True,
            input_names=['image'], output_names=names,
            dynamic_shapes=({2: height, 3: width}, ), verbose=False)
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
    size = 'x'.join(map(str, image.shape[2:]))
    advice = (f'the file would be wrong for an image of {size} pixels. Let the images be padded as '
              'that of the trace is: model.data_preprocessor.test_cfg=dict(size_divisor=32)')
    try:
        found = session.run(None, {'image': image.cpu().numpy()})
    except Exception as error:  # onnxruntime's have no common class of their own
        raise ValueError(f'{advice}. It stops with {error}') from error
    for one, other in zip(found, expected, strict=True):
        if one.shape != tuple(other.shape):
            raise ValueError(f'{advice}. Got {one.shape}, expected {tuple(other.shape)}')
        difference = float((torch.from_numpy(one) - other.cpu()).abs().max())
        largest = float(other.abs().max())
        if not difference <= _TOLERANCE * largest:
            raise ValueError(f'{advice}. Scores of up to {largest:g} differ by {difference:g}')
