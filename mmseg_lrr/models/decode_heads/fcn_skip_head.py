# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""FCN-32s, FCN-16s and FCN-8s, the baselines of the poster."""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_lrr.ops import checks

from ..layers import crop
from ..non_finite import check_losses
from .map_options import (
    check_channels,
    check_index,
    check_labels,
    check_loss_configs,
    check_loss_modules,
    check_maps,
    check_strides,
    check_strides_found,
    one_number,
)


@MODELS.register_module()
class FCNSkipHead(BaseDecodeHead):
    """Score maps of one to three layers, summed on the way up (Long, Shelhamer & Darrell, 2015).

    A 1x1 convolution scores each map. From coarse to fine, scores are upsampled by 2 with a
    transposed convolution (4x4, one group a class, learned, bilinear at the start) and the finer
    map's scores are added. The sum is upsampled bilinearly, fixed, to the network's input. One map
    of stride 32 makes it FCN-32s, a second of stride 16 FCN-16s, a third of stride 8 FCN-8s. The
    scoring layers start at zero, so an added map changes nothing at first.

    The published nets pad the image by 100 pixels and cut offsets of their own; here all maps are
    aligned at the image's top left corner, at half-pixel centres, and only the bottom and right
    are cut (layers of stride 2 round up). The final upsampling repeats the map's edge.

    Lists with one entry a map are in the backbone's order, fine to coarse.

    Args:
        in_channels: channels of the maps that are read.
        num_classes: number of classes C, at least 2.
        in_index: indices of the maps among the backbone's outputs. Default: the first ones.
        strides: strides of the scored maps in input pixels, doubling. Default: the last of
            (8, 16, 32).
        pool_skips: whether all but the coarsest map are 2x2 max-pooled (rounding up) before they
            are scored. The published nets read VGG's pool3 and pool4, ``VGG16FC`` gives conv3_3
            and conv4_3. ``strides`` are those after the pooling.
        loss_decode: config, or list of configs, of the losses.
        ignore_index: label of pixels that do not count.
        sampler: config of one of the toolbox's pixel samplers.
        align_corners: must be False.
        init_cfg: initialisation config. Default None: the scoring layers start at zero.

    Raises:
        TypeError, ValueError: when built, naming the option, the value and what is accepted.
    """

    def __init__(self,
                 in_channels: int | Sequence[int],
                 num_classes: int,
                 in_index: int | Sequence[int] | None = None,
                 *,
                 strides: Sequence[int] | None = None,
                 pool_skips: bool = False,
                 loss_decode: ConfigType | Sequence[ConfigType] = dict(  # noqa: B006, B008
                     type='CrossEntropyLoss'),
                 ignore_index: int = 255,
                 sampler: ConfigType | None = None,
                 align_corners: bool = False,
                 init_cfg: ConfigType | None = None) -> None:
        checks.integer('num_classes', num_classes, 2)
        if align_corners is not False:
            raise ValueError('align_corners must be False (maps are aligned at half-pixel '
                             f'centres), got {align_corners!r}')
        in_channels, in_index = check_maps(in_channels, in_index)
        if strides is None:
            if len(in_channels) > 3:
                raise ValueError('strides must be given for more than 3 maps, got in_channels='
                                 f'{list(in_channels)}')
            strides = (8, 16, 32)[-len(in_channels):]
        strides = check_strides(strides, len(in_channels))
        check_loss_configs(loss_decode, ignore_index, init_cfg)
        if sampler is not None:
            checks.config('sampler', sampler)
        super().__init__(
            in_channels=list(in_channels),
            channels=num_classes,
            num_classes=num_classes,
            out_channels=num_classes,
            in_index=list(in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            sampler=sampler,
            align_corners=False,
            init_cfg=init_cfg)
        check_loss_modules(self.loss_decode, num_classes)
        # The scoring layers take its place; left over, it would be a parameter that no loss
        # reaches.
        del self.conv_seg
        self.strides = strides
        self.levels = [f'{stride}x' for stride in reversed(strides)]
        self.pool_skips = checks.boolean('pool_skips', pool_skips)
        self.scores = nn.ModuleDict({
            level: nn.Conv2d(channels, num_classes, 1)
            for level, channels in zip(self.levels, reversed(in_channels), strict=True)
        })
        self.upsamples = nn.ModuleDict({
            level: nn.ConvTranspose2d(
                num_classes, num_classes, 4, stride=2, padding=1, groups=num_classes, bias=False)
            for level in self.levels[1:]
        })
        for score in self.scores.values():
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        line = torch.tensor([.25, .75, .75, .25])
        with torch.no_grad():
            for upsample in self.upsamples.values():
                upsample.weight.copy_(torch.outer(line, line).expand_as(upsample.weight))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Scores of the backbone's maps.

        Args:
            inputs: the backbone's feature maps.

        Returns:
            (N, C, H, W) at the input's resolution, rounded up to whole cells of the finest map.
        """
        total = None
        for level, feature in self._features(inputs).items():
            score = self.scores[level](feature)
            if total is None:
                total = score
            else:
                total = crop(self.upsamples[level](total), score.shape[2:]) + score
        return F.interpolate(
            total, scale_factor=self.strides[0], mode='bilinear', align_corners=False)

    def _features(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """The maps that are scored, by level, coarse to fine."""
        check_index(self.in_index, len(inputs))
        maps = reversed(self._transform_inputs(inputs))
        features = dict(zip(self.levels, maps, strict=True))
        check_channels(features, {level: score.in_channels for level, score in self.scores.items()})
        if self.pool_skips:
            for level in self.levels[1:]:
                features[level] = F.max_pool2d(features[level], 2, ceil_mode=True)
        return features

    def check_maps(self, inputs: Sequence[Tensor], side: int) -> None:
        """As ``LRRHead.check_maps``."""
        check_strides_found(self._features(inputs), side)

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: SampleList,
             train_cfg: ConfigType) -> dict[str, Tensor]:
        """The toolbox's losses.

        Raises:
            FloatingPointError: as ``LRRHead.loss``.
        """
        losses = super().loss(inputs, batch_data_samples, train_cfg)
        features = {f'feature map of level {level}': feature
                    for level, feature in self._features(inputs).items()}
        check_losses(losses, features, self, batch_data_samples)
        return losses

    def _stack_batch_gt(self, batch_data_samples: SampleList) -> Tensor:
        """(N, 1, H, W) labels; an error names the image whose labels are not classes."""
        labels = super()._stack_batch_gt(batch_data_samples)
        check_labels(labels, self.num_classes, self.ignore_index, batch_data_samples)
        return labels

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: SampleList) -> dict:
        """The toolbox's losses on scores cut to the labels, never stretched."""
        size = batch_data_samples[0].gt_sem_seg.shape[-2:]
        # Some of the toolbox's losses take views, which a cut map does not allow.
        scores = crop(seg_logits, size).contiguous()
        losses = super().loss_by_feat(scores, batch_data_samples)
        return {name: one_number(value, scores) for name, value in losses.items()}

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Scores cut to the size of the network's input."""
        meta = batch_img_metas[0]
        if isinstance(meta['img_shape'], torch.Size):  # a window of the toolbox's slide mode
            size = meta['img_shape']
        else:
            size = meta.get('pad_shape', meta['img_shape'])
        return crop(seg_logits, tuple(size[:2]))
