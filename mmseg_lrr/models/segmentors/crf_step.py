# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The CRF as the last step of a prediction, taken at once or by the caller."""

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList

from .restore import refine_with_crf, set_prediction


class CRFStep:
    """What the segmentor and the multi-scale model share: a CRF on finished predictions.

    A CRF takes about as long as the network and needs nothing of it but the probabilities. A caller
    that wants to run it beside the next image's network sets ``crf_deferred``, gets predictions
    without it, and calls :meth:`apply_crf` on them. Both ways give the same numbers.

    Attributes:
        crf: The CRF, or None.
        crf_deferred: Whether predictions leave the CRF to the caller.
    """

    crf_deferred: bool = False

    def _build_crf(self, cfg: ConfigType | None) -> None:
        self.crf = None if cfg is None else MODELS.build(cfg)

    @torch.no_grad()
    def apply_crf(self, data_samples: SampleList) -> None:
        """Refine predictions in place; does nothing where no CRF is configured.

        Args:
            data_samples: Predictions without a CRF: ``seg_logits`` holds the logarithms of
                probabilities (C, H, W) at the original size, the metainfo the photograph,
                ``ori_img``. ``seg_logits`` and ``pred_sem_seg`` become those after the CRF;
                levels' predictions stay.
        """
        if self.crf is None:
            return
        for sample in data_samples:
            probabilities = sample.seg_logits.data.float().exp()
            # Mixed precision is the network's; it would end outside of a deferred call.
            with torch.autocast(probabilities.device.type, enabled=False):
                refined = refine_with_crf(self.crf, probabilities, sample.metainfo)
            set_prediction(sample, refined)

    def _finish(self, data_samples: SampleList) -> SampleList:
        """Run the CRF unless the caller does."""
        if not self.crf_deferred:
            self.apply_crf(data_samples)
        return data_samples
