# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""FCN-32s, FCN-16s and FCN-8s, the baselines of the poster."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmseg_lrr.ops.pyramid import fit_map, input_size


@MODELS.register_module()
class FCNSkipHead(BaseDecodeHead):
    """Score maps of one to three layers, summed on the way up.

    A 1x1 convolution scores each map. From coarse to fine, scores are upsampled by 2 with a
    transposed convolution (4x4, one group per class, learned, bilinear at the start) and the finer
    map's scores are added. The sum is upsampled bilinearly, fixed, to the network's input. One map
    of stride 32 makes it FCN-32s, a second of stride 16 FCN-16s, a third of stride 8 FCN-8s. The
    scoring layers start at zero, so an added map changes nothing at first.

    The published nets pad the image by 100 pixels and cut offsets of their own; here all maps are
    aligned at the image's top left corner, at half-pixel centres, and only the bottom and right
    are cut (layers of stride 2 round up). The final upsampling repeats the map's edge.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation"
    (CVPR 2015).

    Args:
        in_channels: Channels of the maps that are read, fine to coarse.
        num_classes: Number of classes, C.
        in_index: Indices of the maps among the backbone's outputs. Defaults to the first ones.
        strides: Strides of the scored maps in input pixels, each twice the one before it. Defaults
            to the last of (8, 16, 32).
        pool_skips: Whether all but the coarsest map are 2x2 max-pooled (rounding up) before they
            are scored; ``strides`` are those after the pooling. The published nets read VGG's
            pool3 and pool4, ``VGG16FC`` gives conv3_3 and conv4_3.
        **kwargs: Those of ``BaseDecodeHead``.
    """

    def __init__(self,
                 in_channels: int | Sequence[int],
                 num_classes: int,
                 in_index: int | Sequence[int] | None = None,
                 *,
                 strides: Sequence[int] | None = None,
                 pool_skips: bool = False,
                 init_cfg: dict | list[dict] | None = None,
                 **kwargs: Any) -> None:
        in_channels = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        in_index = range(len(in_channels)) if in_index is None else in_index
        super().__init__(
            in_channels, num_classes, num_classes=num_classes, out_channels=num_classes,
            in_index=[in_index] if isinstance(in_index, int) else list(in_index),
            input_transform='multiple_select', dropout_ratio=0, init_cfg=init_cfg, **kwargs)
        # The scoring layers take its place; left over, it would be a parameter that no loss
        # reaches.
        del self.conv_seg
        self.strides = tuple(strides or (8, 16, 32)[-len(in_channels):])
        if any(coarse != 2 * fine for fine, coarse in zip(self.strides, self.strides[1:],
                                                          strict=False)):
            raise ValueError(f'strides must double from one map to the next, got {self.strides}')
        self.pool_skips = pool_skips
        self.levels = [f'{stride}x' for stride in reversed(self.strides)]
        self.scores = nn.ModuleDict()
        self.upsamples = nn.ModuleDict()
        line = torch.tensor([.25, .75, .75, .25])
        for level, channels in zip(self.levels, reversed(in_channels), strict=True):
            self.scores[level] = score = nn.Conv2d(channels, num_classes, 1)
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
            if level != self.levels[0]:
                self.upsamples[level] = upsample = nn.ConvTranspose2d(
                    num_classes, num_classes, 4, stride=2, padding=1, groups=num_classes,
                    bias=False)
                upsample.weight.data.copy_(torch.outer(line, line))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Score the backbone's feature maps.

        Returns:
            ``(N, C, H, W)`` at the input's resolution, rounded up to whole cells of the finest map.
        """
        total = None
        for level, feature in zip(self.levels, reversed(self._transform_inputs(inputs)),
                                  strict=True):
            if total is not None and self.pool_skips:
                feature = F.max_pool2d(feature, 2, ceil_mode=True)
            score = self.scores[level](feature)
            if total is not None:
                score = fit_map(self.upsamples[level](total), score.shape[2:], 2) + score
            total = score
        return F.interpolate(
            total, scale_factor=self.strides[0], mode='bilinear', align_corners=False)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict:
        """Compute mmseg's losses of scores that are cut to the labels, never stretched."""
        size = batch_data_samples[0].gt_sem_seg.shape[-2:]
        # Some of mmseg's losses take views, which a cut map does not allow.
        scores = fit_map(seg_logits, size, self.strides[-1]).contiguous()
        return super().loss_by_feat(scores, batch_data_samples)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Cut the scores to the size of the network's input."""
        return fit_map(seg_logits, input_size(batch_img_metas), self.strides[-1])
