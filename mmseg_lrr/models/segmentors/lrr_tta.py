# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Multi-scale testing: probabilities fused by their maximum."""

import torch
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_lrr import checks

from .restore import refine_with_crf, restore_to_original, set_prediction

FUSIONS = ('max', 'mean')


@MODELS.register_module()
class LRRTTAModel(SegTTAModel):
    """Test-time augmentation as the authors' (spec section 5).

    Of each augmented image the softmax is taken at the network's size, the padding cut off, the
    flip undone and the map resized to the original size, where it joins a running maximum. (The
    toolbox's ``SegTTAModel`` resizes scores, keeps every augmentation's, and averages.) At most two
    maps of C x H x W live at a time. ``seg_logits`` of a result are the logarithms of the fused
    probabilities, renormalised. Works around any segmentor with more than one output channel.

    Args:
        module: config of the segmentor.
        data_preprocessor: config that replaces the segmentor's.
        fusion: ``'max'`` as in the released code, or ``'mean'``.
        crf: config of a CRF on the fused probabilities, e.g. ``dict(type='DenseCRF')``. The
            pipeline must carry the photograph (``KeepOriginalImage``).
        pretrained: must be None; the toolbox's inferencers set it.
        train_cfg: must be None, likewise.

    Raises:
        ValueError: when built, on an unknown fusion.
    """

    def __init__(self, module: ConfigType | nn.Module,
                 data_preprocessor: ConfigType | nn.Module | None = None, *,
                 fusion: str = 'max', crf: ConfigType | None = None,
                 pretrained: None = None, train_cfg: None = None) -> None:
        for name, value in (('pretrained', pretrained), ('train_cfg', train_cfg)):
            if value is not None:
                raise ValueError(f'{name} must be None: weights come from the checkpoint and '
                                 f'training is the module\'s; got {value!r}')
        super().__init__(module, data_preprocessor)
        self.fusion = checks.one_of('fusion', fusion, FUSIONS)
        self.crf = MODELS.build(crf) if crf is not None else None
        if self.module.out_channels < 2:
            raise ValueError('LRRTTAModel fuses softmax probabilities and needs a module with at '
                             f'least 2 output channels, got {self.module.out_channels}')

    def test_step(self, data: dict) -> SampleList:
        """Predict a batch from its augmentations.

        Args:
            data: ``inputs`` and ``data_samples``, each a list (augmentations) of lists (images).

        Returns:
            One sample an image: the first augmentation's, with ``seg_logits`` (C, H, W) and
            ``pred_sem_seg`` (1, H, W) at the original size.
        """
        count = len(data['inputs'])
        samples = data['data_samples'][0]
        fused: list[Tensor | None] = [None] * len(samples)
        for inputs, augmented in zip(data['inputs'], data['data_samples'], strict=True):
            batch = self.module.data_preprocessor(
                dict(inputs=inputs, data_samples=augmented), False)
            metas = [sample.metainfo for sample in batch['data_samples']]
            scores = self.module.inference(batch['inputs'], metas)
            for i, meta in enumerate(metas):
                restored = restore_to_original(scores[i].softmax(dim=0), meta)
                if fused[i] is None:
                    fused[i] = restored
                elif self.fusion == 'max':
                    torch.maximum(fused[i], restored, out=fused[i])
                else:
                    fused[i] += restored
            del scores, restored
        for i, sample in enumerate(samples):
            probabilities = fused[i] if self.fusion == 'max' else fused[i] / count
            if self.crf is not None:
                probabilities = refine_with_crf(self.crf, probabilities, sample.metainfo)
            set_prediction(sample, probabilities)
        return samples
