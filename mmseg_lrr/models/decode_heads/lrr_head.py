# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Laplacian pyramid reconstruction and refinement, the decode head of LRR."""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.pyramid import fit_map, input_size, pyramid_levels, subsample_labels

from ..layers import LRRLevel
from ..losses import accuracy
from .checkpoint_filter import filter_checkpoint


@MODELS.register_module()
class LRRHead(BaseDecodeHead):
    """Decode head of LRR (Ghiasi & Fowlkes, ECCV 2016).

    Works in the toolbox's ``EncoderDecoder`` on any backbone whose feature maps have strides that
    double. Levels are named by the stride of the feature map that they read: ``32x``, ``16x``,
    ``8x``, ``4x``. From coarse to fine, each :class:`LRRLevel` adds detail to the scores of the
    level before, and each is trained against its own subsampled labels (docs/method.md, "The
    pyramid" and "Losses"). The defaults are those of the released network and of its training, but
    for what void is to DE.

    Lists with one entry per level are in the backbone's order, fine to coarse.

    Args:
        in_channels: Channels of the feature maps that are read; an int for a single one.
        num_classes: Number of classes C, at least 2.
        in_index: Indices of the feature maps among the backbone's outputs. Default: the first ones.
        strides: Strides of the feature maps in input pixels. Default: the last of 2, 4, 8, 16, 32.
        num_bases: Number of basis functions per class, K.
        reconstruction_factor: u, the factor from a level's feature map to its score map; one, or
            one per level; see :func:`~mmseg_lrr.ops.pyramid.pyramid_levels`.
        kernel_size: Of the coefficient convolutions; odd.
        upsample_border: What the 2x upsampling sees outside the map: ``'zeros'`` as in the
            released network, or ``'replicate'``.
        boundary_mask: Config of the mask, which is built with a ``window`` (one, or one per level,
            of which the coarsest is not used; default 2u + 1); None or False for the unmasked
            network.
        learned_bases: Whether the basis functions are trained; frozen in the released code.
        dilation_erosion: Config of the two DE branches, whose ``levels`` (default: the coarsest)
            are names such as ``['32x']``; None or False trains without DE.
        loss_decode: Config, or list of configs, of the losses of every level. Any of the toolbox's
            pixel losses serves; the terms are named ``{loss_name}_{level}``.
        sampler: Config of a pixel sampler, such as the toolbox's ``OHEMPixelSampler``, which then
            draws at each level anew (``min_kept`` pixels of each).
        level_loss_weights: Weight of the levels' losses; one, or one per level.
        loss_dilation_erosion: Config of the DE losses; one radius, or one per DE level.
        ignore_index: Label of pixels that do not count.
        with_cp: Whether a level's activations are computed again in the backward pass, not kept.
        align_corners: Must be False: LRR is defined at half-pixel centres.
        init_cfg: Initialisation config. Default None: all coefficients start at zero.
    """

    #: Whether the coarsest level adds to scores that it is given, behind a mask of its own.
    refines = False

    def __init__(self,
                 in_channels: int | Sequence[int],
                 num_classes: int,
                 in_index: int | Sequence[int] | None = None,
                 *,
                 strides: Sequence[int] | None = None,
                 num_bases: int = 10,
                 reconstruction_factor: int | Sequence[int] = 4,
                 kernel_size: int = 5,
                 upsample_border: str = 'zeros',
                 boundary_mask: ConfigType | bool | None = dict(type='BoundaryMask'),
                 learned_bases: bool = False,
                 dilation_erosion: ConfigType | bool | None = dict(type='DilationErosionBranch'),
                 loss_decode: ConfigType | Sequence[ConfigType] = dict(
                     type='LevelCrossEntropyLoss'),
                 sampler: ConfigType | None = None,
                 level_loss_weights: float | Sequence[float] = 1,
                 loss_dilation_erosion: ConfigType = dict(type='DilationErosionLoss'),
                 ignore_index: int = 255,
                 with_cp: bool = False,
                 align_corners: bool = False,
                 init_cfg: ConfigType | None = None, **unknown) -> None:
        if unknown:
            raise TypeError(f'{type(self).__name__} has no {", ".join(unknown)}: if they are left '
                            'over from the head that it replaces, add _delete_=True to the config '
                            'of decode_head')
        if num_classes < 2:
            raise ValueError(f'num_classes must be at least 2, got {num_classes}; for one class '
                             'and its background use 2')
        if align_corners:
            raise ValueError('align_corners must be False: LRR is defined at half-pixel centres')
        in_channels = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        in_index = range(len(in_channels)) if in_index is None else in_index
        in_index = [in_index] if isinstance(in_index, int) else list(in_index)
        super().__init__(
            in_channels, num_classes * num_bases, num_classes=num_classes, in_index=in_index,
            out_channels=num_classes, dropout_ratio=0, input_transform='multiple_select',
            loss_decode=loss_decode, ignore_index=ignore_index, sampler=sampler, init_cfg=init_cfg)
        # The levels take its place; left over, it would be a parameter that no loss reaches.
        del self.conv_seg
        self.strides = tuple(strides or (2, 4, 8, 16, 32)[-len(in_channels):])
        if len(self.strides) != len(in_channels):
            raise ValueError(f'strides must have one stride for each of in_channels={in_channels}, '
                             f'got {list(self.strides)}')
        self.num_bases, self.with_cp = num_bases, with_cp
        # From here on everything is by name, coarse to fine.
        boundary_mask = boundary_mask or {}
        geometry = pyramid_levels(self.strides, reconstruction_factor, boundary_mask.get('window'))
        self.level_strides = {level.name: level.score_stride for level in geometry}
        channels = dict(zip(self.level_strides, in_channels[::-1], strict=True))
        weights = checks.per_level('level_loss_weights', level_loss_weights, len(in_channels))
        self.level_loss_weights = dict(zip(self.level_strides, weights[::-1], strict=True))
        conv = dict(num_classes=num_classes, num_bases=num_bases, kernel_size=kernel_size)
        self.levels = nn.ModuleDict()
        for level in geometry:
            mask = None
            if boundary_mask and (self.refines or level is not geometry[0]):
                mask = MODELS.build({**boundary_mask, 'window': level.window})
            self.levels[level.name] = LRRLevel(
                in_channels=channels[level.name], factor=level.factor, mask=mask,
                upsample_factor=level.upsample_factor, upsample_border=upsample_border,
                learned_bases=learned_bases, **conv)
        self._init_dilation_erosion(dilation_erosion, loss_dilation_erosion, channels, conv)
        self.register_buffer('bases_loaded', torch.tensor(False))
        self._bases_reported = False

    def _init_dilation_erosion(self, cfg: ConfigType | bool | None, loss: ConfigType,
                               channels: dict[str, int], conv: dict) -> None:
        self.dilation = self.erosion = None
        if not cfg:
            return
        cfg = dict(cfg)
        names = cfg.pop('levels', None) or list(channels)[:1]
        if set(names) != set(list(channels)[:len(names)]):
            raise ValueError(f'dilation_erosion levels must be the coarsest of {list(channels)} '
                             f'without a gap (finer ones build on coarser ones), got {list(names)}')
        conv = dict(conv, in_channels={name: channels[name] for name in channels if name in names})
        self.dilation = MODELS.build(cfg, default_args=conv)
        self.erosion = MODELS.build(cfg, default_args=conv)
        self.loss_dilation_erosion = MODELS.build(loss)
        checks.per_level(
            'loss_dilation_erosion radii', self.loss_dilation_erosion.radii, len(names))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Scores (N, C, H, W) of the finest level, at its own resolution."""
        return list(self.forward_levels(inputs).values())[-1]

    def forward_levels(self, inputs: Sequence[Tensor], *, last_level: str | None = None,
                       class_threshold: float = 0., coarser: Tensor | None = None
                       ) -> dict[str, Tensor]:
        """Compute the scores of every level.

        Args:
            inputs: The backbone's feature maps.
            last_level: Stop after this level; nothing finer is computed. Default: the finest.
            class_threshold: Class gating, for testing: at each masked level an image's classes get
                detail whose probabilities at the coarser level differ by more than this between two
                of its pixels (docs/method.md, "Testing"). 0: all of them get it.
            coarser: Scores, at the coarsest level's own resolution, for this one to add to.

        Returns:
            ``{'32x': (N, C, h, w), ..., '4x': (N, C, H, W)}``, coarse to fine, each at its own
            resolution (at u = 4, 1/8, 1/4, 1/2 and 1/1 of the input, rounded up to whole blocks).
        """
        checks.one_of('last_level', last_level, (None, *self.levels))
        self.check_class_threshold(class_threshold)
        features = self._features(inputs)
        scores: dict[str, Tensor] = {}
        for name, level in self.levels.items():
            given = features[name], coarser, class_threshold
            if self.with_cp and self.training and torch.is_grad_enabled():
                coarser = checkpoint(level, *given, use_reentrant=False)
            else:
                coarser = level(*given)
            scores[name] = coarser
            if name == last_level:
                break
        return scores

    def check_class_threshold(self, value: float) -> None:
        """Refuse a ``class_threshold`` that is no probability, or that finds no masks."""
        if not 0 <= value <= 1:
            raise ValueError(f'class_threshold must be a probability, from 0 to 1, got {value}')
        if value and all(level.mask is None for level in self.levels.values()):
            raise ValueError(f'class_threshold={value} needs boundary masks, and this head has '
                             'boundary_mask=None')

    def _features(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """The feature maps that are read, by level, coarse to fine."""
        features = self._transform_inputs(inputs)
        channels = [feature.shape[1] for feature in features]
        if channels != self.in_channels:
            every = [feature.shape[1] for feature in inputs]
            raise ValueError(f'in_channels={self.in_channels}, but the feature maps '
                             f'in_index={self.in_index} have {channels} channels (all of the '
                             f"backbone's: {every}): set in_channels={channels}")
        return dict(zip(self.levels, reversed(features), strict=True))

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: SampleList,
             train_cfg: ConfigType, **start: Tensor) -> dict[str, Tensor]:
        """Compute the losses of every level and of the DE branches.

        ``start``, here and below: what a subclass's :meth:`forward_levels` takes besides.
        """
        self._report_bases()
        losses = self.loss_by_feat(self.forward_levels(inputs, **start), batch_data_samples)
        if self.dilation is not None:
            maps = self._features(inputs), self.levels
            losses.update(self.loss_dilation_erosion(
                self.dilation(*maps), self.erosion(*maps),
                self._stack_batch_gt(batch_data_samples).squeeze(1), self.level_strides,
                self.ignore_index))
        return losses

    def loss_by_feat(self, seg_logits: Mapping[str, Tensor],
                     batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses of every level at its own resolution.

        Args:
            seg_logits: What :meth:`forward_levels` gives.
            batch_data_samples: Samples with ``gt_sem_seg``, padded to one size. Their labels must
                be classes or ``ignore_index``, which ``CheckLabels`` in the pipeline ensures.

        Returns:
            ``{'loss_ce_32x': scalar, ..., 'acc_seg': accuracy of the finest level in percent}``.
        """
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        modules, losses = self.loss_decode, {}
        for name, scores in seg_logits.items():
            level_labels = subsample_labels(labels, self.level_strides[name])
            # Some of the toolbox's losses flatten with view().
            limit = 2 * self.levels[name].factor
            scores = fit_map(scores, level_labels.shape[1:], limit).contiguous()
            weight = {} if self.sampler is None else dict(
                weight=self.sampler.sample(scores, level_labels[:, None]))
            for loss in modules if isinstance(modules, nn.ModuleList) else [modules]:
                term = f'{loss.loss_name}_{name}'
                value = loss(scores, level_labels, ignore_index=self.ignore_index, **weight)
                losses[term] = losses.get(term, 0) + self.level_loss_weights[name] * value
        losses['acc_seg'] = accuracy(scores, level_labels, self.ignore_index)
        return losses

    def predict(self, inputs: Sequence[Tensor], batch_img_metas: list[dict],
                test_cfg: ConfigType, **start: Tensor) -> Tensor:
        """Compute scores (N, C, H, W) at the size of the network's input."""
        outputs = self.level_scores(inputs, all_levels=False, test_cfg=test_cfg, **start)
        (scores, stride), = outputs.values()
        return self.predict_by_feat(scores, batch_img_metas, stride)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict],
                        stride: int | None = None) -> Tensor:
        """Upsample (N, C, h, w) scores to the size of the network's input.

        ``stride`` is that of the scores in input pixels; the finest level's by default.
        """
        stride = stride or list(self.level_strides.values())[-1]
        if stride > 1:
            seg_logits = F.interpolate(
                seg_logits, scale_factor=stride, mode='bilinear', align_corners=False)
        return fit_map(seg_logits, input_size(batch_img_metas), self.strides[-1])

    def level_scores(self, inputs: Sequence[Tensor], all_levels: bool = True,
                     test_cfg: ConfigType | None = None,
                     **start: Tensor) -> dict[str, tuple[Tensor, int]]:
        """Compute the scores by which each level is judged in testing.

        Before a masked level, a level's output is its scores upsampled to that level, the very map
        that the mask is made of (docs/method.md, "Testing"); otherwise its scores.

        Args:
            inputs: The backbone's feature maps.
            all_levels: Whether all levels are given, or the last one alone.
            test_cfg: The segmentor's; ``last_level`` and ``class_threshold`` are those of
                :meth:`forward_levels`.

        Returns:
            By level, coarse to fine: scores (N, C, h, w) and their stride in input pixels.
        """
        features = self._features(inputs)
        test_cfg = test_cfg or {}
        scores = self.forward_levels(
            inputs, last_level=test_cfg.get('last_level'),
            class_threshold=test_cfg.get('class_threshold', 0), **start)
        finer = dict(pairwise(self.levels))
        outputs = {}
        for name in scores if all_levels else [list(scores)[-1]]:
            outputs[name] = scores[name], self.level_strides[name]
            fine = finer.get(name)
            if fine and self.levels[fine].mask is not None:
                upsampled = self.levels[fine].upsample(scores[name], features[fine].shape[2:])
                outputs[name] = upsampled, self.level_strides[fine]
        return outputs

    def level_masks(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the boundary masks, to look at, from what :meth:`forward_levels` gives.

        By masked level, coarse to fine: (N, C, H, W) in [0, 1], at the level's own resolution.
        """
        masks = {}
        for coarse, fine in pairwise(scores):
            level = self.levels[fine]
            if level.mask is not None:
                size = [side // level.factor for side in scores[fine].shape[2:]]
                masks[fine] = level.mask(level.upsample(scores[coarse], size))
        return masks

    def set_bases(self, bases: Tensor | np.ndarray) -> None:
        """Fill every level's basis functions from one set, (num_classes, num_bases, 32, 32)."""
        for level in self.levels.values():
            level.reconstruction.set_bases(torch.as_tensor(bases, dtype=torch.float32))
        self.bases_loaded.fill_(True)

    def _report_bases(self) -> None:
        """Say once, when training begins, that nothing has brought basis functions."""
        if not self._bases_reported and not self.bases_loaded:
            print_log(
                'LRRHead trains on cosine basis functions: neither a checkpoint nor a hook has '
                'brought those of the classes. Add custom_hooks = [dict(type="ClassBasesHook")] to '
                'compute them from the training labels.', logger='current', level=logging.WARNING)
        self._bases_reported = True

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        bases = {f'{prefix}levels.{name}.reconstruction.bases': level.reconstruction.bases.shape
                 for name, level in self.levels.items()}
        filtered = filter_checkpoint(state_dict, bases, prefix + 'bases_loaded')
        state_dict.clear()
        state_dict.update(filtered)
        super()._load_from_state_dict(state_dict, prefix, *args)
