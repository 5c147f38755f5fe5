# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Multi-scale testing: probabilities fused by their maximum."""

import logging

import torch
from mmengine.logging import print_log
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.resampling import resize_bicubic

from .crf_step import CRFStep
from .lrr_encoder_decoder import LRREncoderDecoder
from .restore import image_area, set_prediction


@MODELS.register_module()
class LRRTTAModel(CRFStep, SegTTAModel):
    """Test-time augmentation as the authors' (docs/method.md, "Testing").

    Of each augmented image the softmax is taken at the network's size, the padding cut off, the
    flip undone and the map resized to the original size, where it joins a running maximum. (The
    toolbox's ``SegTTAModel`` resizes scores, keeps every augmentation's, and averages.) Besides the
    network's own, at most two maps of C x H x W live at a time. ``seg_logits`` of a result are the
    logarithms of the fused probabilities, renormalised. Works around any segmentor with more than
    one output channel.

    Args:
        module: Config of the segmentor.
        data_preprocessor: Config for a segmentor that has none of its own. The toolbox's runner
            gives the one at the top of the config, which need not be the network's.
        fusion: ``'max'`` as in the released code, or ``'mean'``.
        crf: Config of a CRF on the fused probabilities, e.g. ``dict(type='DenseCRF')``. It
            reads the photograph anew unless the pipeline carries it (``KeepOriginalImage``). The
            segmentor's own, in its
            ``test_cfg``, is for its single passes and does not run here.
        pretrained, train_cfg: What mmseg's inferencers set to None.
    """

    def __init__(self, module: ConfigType | nn.Module,
                 data_preprocessor: ConfigType | nn.Module | None = None, *,
                 fusion: str = 'max', crf: ConfigType | None = None,
                 pretrained: None = None, train_cfg: None = None) -> None:
        if not isinstance(module, nn.Module) and module.get('data_preprocessor') is not None:
            data_preprocessor = None  # The base class would replace the segmentor's by it.
        super().__init__(module, data_preprocessor)
        self.fusion = checks.one_of('fusion', fusion, ('max', 'mean'))
        self._build_crf(crf)
        if crf is None and getattr(self.module, 'crf', None) is not None:
            print_log("the segmentor's test_cfg.crf does not run in multi-scale testing; for a CRF "
                      'on the fused probabilities set crf of LRRTTAModel', logger='current',
                      level=logging.WARNING)
        if self.module.out_channels < 2:
            raise ValueError('LRRTTAModel fuses softmax probabilities and needs a segmentor with '
                             f'at least 2 output channels, got {self.module.out_channels}')

    @torch.no_grad()
    def test_step(self, data: dict) -> SampleList:
        """Predict a batch from its augmentations.

        Args:
            data: ``inputs`` and ``data_samples``, each a list (augmentations) of lists (images).

        Returns:
            One sample per image: the first augmentation's, with ``seg_logits`` (C, H, W) and
            ``pred_sem_seg`` (1, H, W) at the original size.
        """
        samples = data['data_samples'][0]
        fused: list[Tensor | None] = [None] * len(samples)
        for inputs, augmented in zip(data['inputs'], data['data_samples'], strict=True):
            batch = self.module.data_preprocessor(
                dict(inputs=inputs, data_samples=augmented), False)
            metas = [sample.metainfo for sample in batch['data_samples']]
            probabilities = self._probabilities(batch['inputs'], metas)
            for i, meta in enumerate(metas):
                fused[i] = self._fuse(fused[i], probabilities[i], meta)
            # Not kept while the network sees the next augmentation.
            del probabilities
        for i, sample in enumerate(samples):
            if self.fusion == 'mean':
                fused[i] /= len(data['inputs'])
            set_prediction(sample, fused[i])
            fused[i] = None
        return self._finish(samples)

    def _probabilities(self, inputs: Tensor, metas: list[dict]) -> Tensor:
        """(N, C, H, W) at the size of the preprocessed inputs."""
        if isinstance(self.module, LRREncoderDecoder):
            *_, final = self.module.inference_levels(inputs, all_levels=False).values()
            return final
        scores = self.module.inference(inputs, metas)
        # Softmax in place, in float32 at least.
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        scores -= scores.amax(dim=1, keepdim=True)
        scores.exp_()
        scores /= scores.sum(dim=1, keepdim=True)
        return scores

    def _fuse(self, fused: Tensor | None, probabilities: Tensor, meta: dict) -> Tensor:
        """Add an augmentation's (C, h, w) to the fused (C, H, W), which is changed and returned."""
        size = tuple(meta['ori_shape'][:2])
        if fused is None:
            fused = probabilities.new_zeros(len(probabilities), *size)
        # Class by class: flipped or resized whole, they would be a third map.
        for total, plane in zip(fused, probabilities, strict=True):
            area = image_area(plane, meta)
            # Bicubic interpolation overshoots. Cut at 1, sure scales would tie, and the first class
            # would win.
            restored = resize_bicubic(area[None, None], size)[0, 0]
            if self.fusion == 'max':
                torch.maximum(total, restored, out=total)
            else:
                total += restored
        return fused
