# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The segmentor that tests LRR as its authors did."""

import difflib
import logging
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmengine.utils import to_2tuple
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.pyramid import fit_map
from mmseg_lrr.ops.resampling import resize_bicubic

from .crf_step import CRFStep
from .restore import log_probabilities, restore_to_original, set_prediction, softmax

_MODES = ('whole', 'slide', 'halves')
_LEVEL_OPTIONS = ('level_outputs', 'last_level', 'class_threshold')
_TEST_OPTIONS = ('mode', 'crop_size', 'stride', *_LEVEL_OPTIONS, 'crf')
# Column limits in 1/64 of the width: the two crops, and what each of them serves.
_HALF_CROPS = ((0, 40), (24, 64))
_HALF_SERVES = ((0, 35), (29, 64))


def last_head(segmentor: EncoderDecoder) -> nn.Module:
    """The decode head whose output is the network's: that of a cascade is its last."""
    head = segmentor.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head


@MODELS.register_module()
class LRREncoderDecoder(CRFStep, EncoderDecoder):
    """``EncoderDecoder`` with per-level outputs, a CRF after a single pass, and Cityscapes halves.

    Trains as the stock class does. In testing it works on probabilities where the stock class
    works on scores (docs/method.md, "Testing"): each level's softmax is resized (bicubic) to the
    network's input, the padding cut off, and resized to the original size. ``seg_logits`` of a
    result are the logarithms of these probabilities, ``pred_sem_seg`` their argmax.

    Args:
        test_cfg: Options of testing:

            - ``mode``: ``'whole'``; ``'slide'``, in windows of ``crop_size`` at ``stride`` (each
              one number, or height and width) as the toolbox's, whose probabilities are averaged;
              or ``'halves'``, as the authors test Cityscapes: columns 0 to 5/8 and 3/8 to 1 of the
              width, merged by the maximum away from the crops' inner edges, at each level's own
              resolution.
            - ``level_outputs`` (bool): store each level's prediction too, as
              ``pred_sem_seg_32x``, ..., for ``LRRIoUMetric``.
            - ``last_level`` (str): stop after this level, e.g. ``'16x'``.
            - ``class_threshold`` (float): e.g. 0.1; leave out the detail of classes whose
              probability varies by no more over the image at the coarser level. 0: none.
            - ``crf`` (dict): config of a CRF for the final output, e.g.
              ``dict(type='DenseCRF', preset='deeplab_v2_vgg16')``. It reads the photograph
              anew unless the pipeline carries it (``KeepOriginalImage``).
        **kwargs: Those of the stock ``EncoderDecoder``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        test_cfg = self.test_cfg or {}
        for name in sorted(set(test_cfg) - set(_TEST_OPTIONS)):
            near = difflib.get_close_matches(name, _TEST_OPTIONS, 1) or _TEST_OPTIONS
            print_log(f'test_cfg.{name} is not an option and is not used; did you mean '
                      f'{" or ".join(near)}?', logger='current', level=logging.WARNING)
        self.mode = checks.one_of('test_cfg.mode', test_cfg.get('mode', 'whole'), _MODES)
        if self.mode == 'slide':
            self.window, self.window_step = (
                to_2tuple(test_cfg[name]) for name in ('crop_size', 'stride'))
            if any(step > side for step, side in zip(self.window_step, self.window, strict=True)):
                raise ValueError('test_cfg.stride must not exceed test_cfg.crop_size (pixels would '
                                 f'be left out), got {self.window_step} and {self.window}')
        self.level_outputs = test_cfg.get('level_outputs', False)
        head = last_head(self)
        if hasattr(head, 'level_scores'):
            head.check_class_threshold(test_cfg.get('class_threshold', 0))
            checks.one_of('test_cfg.last_level', test_cfg.get('last_level'), (None, *head.levels))
        elif any(map(test_cfg.get, _LEVEL_OPTIONS)):
            raise ValueError(f'test_cfg: {", ".join(_LEVEL_OPTIONS)} need a head with levels '
                             f'(LRRHead), got {type(head).__name__}')
        self._build_crf(test_cfg.get('crf'))

    def start(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the last head is given besides the feature maps: the scores of one before it."""
        return ()

    def _probabilities(self, inputs: Tensor, all_levels: bool) -> dict[str, tuple[Tensor, int]]:
        """Of one window, by level: probabilities (N, C, h, w) and their stride in input pixels."""
        features = self.extract_feat(inputs)
        head, given = last_head(self), (features, *self.start(features))
        if not hasattr(head, 'level_scores'):
            scores = head.predict(*given, [dict(img_shape=inputs.shape[2:])], self.test_cfg)
            return {'final': (softmax(scores), 1)}
        levels = head.level_scores(*given, all_levels=all_levels, test_cfg=self.test_cfg)
        return {level: (softmax(scores), stride) for level, (scores, stride) in levels.items()}

    def inference_levels(self, inputs: Tensor, all_levels: bool = True) -> dict[str, Tensor]:
        """Probabilities of every level, or of the final one alone, in the configured mode.

        Args:
            inputs: (N, 3, H, W), preprocessed.

        Returns:
            By level, coarse to fine, (N, C, H, W); where they were resized (bicubic), values can
            lie slightly outside of [0, 1].
        """
        if self.mode == 'slide':
            return self._slide(inputs, all_levels)
        if self.mode == 'halves':
            maps = self._halves(inputs, all_levels)
        else:
            maps = self._probabilities(inputs, all_levels)
        return {level: self._to_input(*item, inputs.shape[2:]) for level, item in maps.items()}

    def _halves(self, inputs: Tensor, all_levels: bool) -> dict[str, tuple[Tensor, int]]:
        width = inputs.shape[3]
        if width % 512:
            raise ValueError('test_cfg.mode="halves" needs a width that is a multiple of 512 '
                             f'(2048 for Cityscapes), got an input of {tuple(inputs.shape[2:])}')
        merged: dict[str, tuple[Tensor, int]] = {}
        for (start, end), serves in zip(_HALF_CROPS, _HALF_SERVES, strict=True):
            crop = inputs[..., width * start // 64:width * end // 64]
            for level, (part, stride) in self._probabilities(crop, all_levels).items():
                if level not in merged:
                    merged[level] = part.new_zeros(*part.shape[:3], width // stride), stride
                first, last = (width * limit // 64 // stride for limit in serves)
                offset = width * start // 64 // stride
                served = merged[level][0][..., first:last]
                torch.maximum(served, part[..., first - offset:last - offset], out=served)
        return merged

    def _slide(self, inputs: Tensor, all_levels: bool) -> dict[str, Tensor]:
        height, width = inputs.shape[2:]
        size, step = self.window, self.window_step
        count = inputs.new_zeros(1, 1, height, width)
        total: dict[str, Tensor] = {}
        for top in _window_starts(height, size[0], step[0]):
            for left in _window_starts(width, size[1], step[1]):
                area = (..., slice(top, top + size[0]), slice(left, left + size[1]))
                window = inputs[area]
                for level, item in self._probabilities(window, all_levels).items():
                    part = self._to_input(*item, window.shape[2:])
                    if level not in total:
                        total[level] = part.new_zeros(*part.shape[:2], height, width)
                    total[level][area] += part
                count[area] += 1
        return {level: summed.div_(count) for level, summed in total.items()}

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Log-probabilities (N, C, H, W) of the final output, at the size of ``inputs``."""
        *_, final = self.inference_levels(inputs, all_levels=False).values()
        return torch.stack([log_probabilities(item) for item in final])

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict at the images' original sizes.

        Args:
            inputs: (N, 3, H, W), preprocessed.
            data_samples: Their samples; without them the size of ``inputs`` is the original one.

        Returns:
            The samples, with ``seg_logits`` (C, H, W), ``pred_sem_seg`` (1, H, W) and, if asked
            for, ``pred_sem_seg_{level}`` (1, H, W).
        """
        probabilities = self.inference_levels(inputs, self.level_outputs)
        if data_samples is None:
            data_samples = [
                SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[2:])))
                for _ in range(len(inputs))
            ]
        for i, sample in enumerate(data_samples):
            for level, batch in probabilities.items():
                restored = restore_to_original(batch[i], sample.metainfo)
                if self.level_outputs:
                    sample.set_data({
                        f'pred_sem_seg_{level}':
                        PixelData(data=restored.argmax(dim=0, keepdim=True))
                    })
            set_prediction(sample, restored)  # the last level's
        return self._finish(data_samples)

    def _to_input(self, probabilities: Tensor, stride: int, size: torch.Size) -> Tensor:
        """(N, C, h, w) at ``stride`` to (N, C, \\*size): by a whole factor, then fitted."""
        if stride > 1:
            height, width = (side * stride for side in probabilities.shape[2:])
            probabilities = resize_bicubic(probabilities, (height, width))
        return fit_map(probabilities, size, max(getattr(last_head(self), 'strides', (1, ))))


def _window_starts(length: int, window: int, step: int) -> list[int]:
    """Starts of windows ``step`` apart, the last one moved back to end where the map ends."""
    last = max(length - window, 0)
    return [min(start, last) for start in range(0, last + step, step)]
