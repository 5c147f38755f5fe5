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
from mmseg.models.losses import accuracy
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.bases import PATCH_SIZE
from mmseg_lrr.ops.resampling import BORDERS
from mmseg_lrr.ops.tiled_conv import active_tiles

from ..layers import CoefficientConv, PyramidUpsample, branch_levels, crop
from ..layers.boundary_mask import MAX_WINDOW
from ..layers.coefficient_conv import MAX_KERNEL
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
class LRRHead(BaseDecodeHead):
    """Decode head of LRR (Ghiasi & Fowlkes, ECCV 2016; spec sections 1 to 3).

    Works in the toolbox's ``EncoderDecoder`` on any backbone that gives one to four maps at strides
    that halve. Levels are named by the stride of the map that they read: ``32x``, ``16x``, ``8x``,
    ``4x``. Each level predicts coefficients of class-specific basis functions, paints its score
    detail with them, and adds it to the coarser level's upsampled scores where the boundary mask
    lets it. Every level is trained against its own subsampled labels. The defaults are those of
    the released network and its training.

    Lists with one entry a level are in the backbone's order, fine to coarse.

    Args:
        in_channels: channels of the maps that are read; an int for a single map.
        num_classes: number of classes C, at least 2.
        in_index: indices of the maps among the backbone's outputs. Default: the first ones.
        strides: strides of the maps in input pixels. Default: the last of (4, 8, 16, 32).
        num_bases: basis functions a class, K.
        reconstruction_factor: u, upsampling of each level's coefficients; even; one, or one a
            level. One value is lowered to the stride where it is larger (u = 8 at stride 4).
            Neighbouring levels' score maps must then be equally fine, or differ by 2.
        kernel_size: of the coefficient convolutions; odd.
        upsample_border: what the 2x upsampling sees outside the map: ``'zeros'`` as in the
            released network, or ``'replicate'``.
        boundary_mask: config of the mask, or None for the unmasked network. Its ``window`` may be
            one or one a level (the coarsest one's is not used); default 2u + 1.
        learned_bases: whether the basis functions are trained; frozen in the released code.
        dilation_erosion: config of the two DE branches, whose ``levels`` (default: the coarsest)
            are names such as ``['32x']``; None trains without DE.
        loss_decode: config, or list of configs, of the losses of every level. Any of the toolbox's
            pixel losses serves; the terms are named ``{loss_name}_{level}``.
        loss_dilation_erosion: config of the DE losses; one radius a DE level.
        ignore_index: label of pixels that do not count.
        winograd: whether coefficient convolutions in float32 on a CPU may take Winograd's
            algorithm: about twice as fast, and exact to 2e-5 of a map's maximum where the plain
            convolution is to 3e-6.
        with_cp: whether a level's activations are computed again in the backward pass instead of
            kept: less memory while the rest of the network runs, more time.
        align_corners: must be False: LRR is defined at half-pixel centres.
        sampler: not supported, must be None.
        out_channels: not supported, must be None or ``num_classes``.
        init_cfg: initialisation config. Default None: all coefficients start at zero.

    Raises:
        TypeError, ValueError: at build time, naming the option, the value and what is accepted.
    """

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
                 boundary_mask: ConfigType | None = dict(type='BoundaryMask'),  # noqa: B006, B008
                 learned_bases: bool = False,
                 dilation_erosion: ConfigType | None = dict(  # noqa: B006, B008
                     type='DilationErosionBranch'),
                 loss_decode: ConfigType | Sequence[ConfigType] = dict(  # noqa: B006, B008
                     type='LevelCrossEntropyLoss'),
                 loss_dilation_erosion: ConfigType = dict(  # noqa: B006, B008
                     type='DilationErosionLoss', radii=(32, )),
                 ignore_index: int = 255,
                 winograd: bool = True,
                 with_cp: bool = False,
                 align_corners: bool = False,
                 sampler: ConfigType | None = None,
                 out_channels: int | None = None,
                 init_cfg: ConfigType | None = None) -> None:
        checks.integer('num_classes', num_classes, 2)
        if sampler is not None:
            raise ValueError('LRRHead does not support sampler: its losses weigh every valid pixel '
                             f'of an image the same; got sampler={sampler!r}, expected None')
        if out_channels not in (None, num_classes):
            raise ValueError('LRRHead does not support out_channels other than num_classes: its '
                             'masks and losses need one score a class; got '
                             f'out_channels={out_channels!r}, expected None or {num_classes}')
        if align_corners is not False:
            raise ValueError('align_corners must be False (LRR is defined at half-pixel centres), '
                             f'got {align_corners!r}')
        in_channels, in_index = check_maps(in_channels, in_index)
        checks.integer('num_bases', num_bases, 1, PATCH_SIZE**2)
        checks.one_of('upsample_border', upsample_border, BORDERS)
        checks.boolean('learned_bases', learned_bases)
        check_loss_configs(loss_decode, ignore_index, init_cfg)
        super().__init__(
            in_channels=list(in_channels),
            channels=num_classes * num_bases,
            num_classes=num_classes,
            out_channels=num_classes,
            in_index=list(in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg)
        check_loss_modules(self.loss_decode, num_classes)
        # The pyramid takes its place; left over, it would be a parameter that no loss reaches.
        del self.conv_seg
        self.num_bases = num_bases
        self.with_cp = checks.boolean('with_cp', with_cp)
        conv = dict(kernel_size=checks.odd('kernel_size', kernel_size, 1, MAX_KERNEL),
                    winograd=checks.boolean('winograd', winograd))
        self._init_levels(strides, reconstruction_factor)
        self._init_pyramid(conv, upsample_border, boundary_mask, learned_bases)
        self._init_dilation_erosion(dilation_erosion, loss_dilation_erosion, conv)
        self.register_buffer('bases_loaded', torch.tensor(False))
        self._bases_reported = False

    def _init_levels(self, strides: Sequence[int] | None,
                     reconstruction_factor: int | Sequence[int]) -> None:
        """Name the levels; find each one's upsampling u and the stride of its score map."""
        num_levels = len(self.in_channels)
        if strides is None:
            if num_levels > 4:
                raise ValueError('strides must be given for more than 4 maps, got in_channels='
                                 f'{self.in_channels}')
            strides = (4, 8, 16, 32)[-num_levels:]
        strides = check_strides(strides, num_levels)
        factors = checks.per_level('reconstruction_factor', reconstruction_factor, num_levels)
        for factor in factors:
            checks.integer('reconstruction_factor', factor, 2)
        if not isinstance(reconstruction_factor, list | tuple):
            factors = [min(factor, stride) for factor, stride in zip(factors, strides, strict=True)]
        for factor, stride in zip(factors, strides, strict=True):
            if factor % 2 or stride % factor:
                raise ValueError('reconstruction_factor must be even and divide the stride '
                                 f'{stride} of its level, got {factor}')
        self.strides = tuple(strides)
        # From here on everything is by name, coarse to fine.
        self.levels = [f'{stride}x' for stride in reversed(strides)]
        self.level_channels = dict(zip(self.levels, reversed(self.in_channels), strict=True))
        self.factors = dict(zip(self.levels, reversed(factors), strict=True))
        self.level_strides = {
            level: stride // self.factors[level]
            for level, stride in zip(self.levels, reversed(strides), strict=True)
        }
        self.finer = dict(pairwise(self.levels))
        for coarse, fine in self.finer.items():
            if self.level_strides[coarse] not in (self.level_strides[fine],
                                                  2 * self.level_strides[fine]):
                raise ValueError(
                    f'reconstruction_factor gives score maps of strides {self.level_strides}: '
                    f'{fine} must be as fine as {coarse} or twice as fine, got factors '
                    f'{self.factors}')

    def _init_pyramid(self, conv: dict, upsample_border: str,
                      boundary_mask: ConfigType | None, learned_bases: bool) -> None:
        self.coefficients = nn.ModuleDict({
            level: CoefficientConv(channels, self.num_classes * self.num_bases, **conv)
            for level, channels in self.level_channels.items()
        })
        self.reconstructions = nn.ModuleDict({
            level: MODELS.build(
                dict(type='BasisReconstruction', num_classes=self.num_classes,
                     num_bases=self.num_bases, factor=factor, learned=learned_bases))
            for level, factor in self.factors.items()
        })
        self.upsamples = nn.ModuleDict({
            fine: PyramidUpsample(
                factor=self.level_strides[coarse] // self.level_strides[fine],
                border=upsample_border)
            for coarse, fine in self.finer.items()
        })
        self.masks = nn.ModuleDict()
        if boundary_mask is not None:
            mask_cfg = dict(checks.config('boundary_mask', boundary_mask))
            windows = checks.per_level('boundary_mask window', mask_cfg.pop('window', None),
                                       len(self.levels))
            # The coarsest level has no mask, but an entry in a list.
            for window in windows:
                if window is not None:
                    checks.odd('boundary_mask window', window, 3, MAX_WINDOW)
            by_level = dict(zip(reversed(self.levels), windows, strict=True))
            for level in self.levels[1:]:
                window = by_level[level]
                if window is None:
                    window = 2 * self.factors[level] + 1
                self.masks[level] = MODELS.build({**mask_cfg, 'window': window})

    def _init_dilation_erosion(self, dilation_erosion: ConfigType | None,
                               loss_dilation_erosion: ConfigType, conv: dict) -> None:
        self.dilation = self.erosion = None
        checks.config('loss_dilation_erosion', loss_dilation_erosion)
        if dilation_erosion is None:
            return
        cfg = dict(checks.config('dilation_erosion', dilation_erosion))
        levels = branch_levels(cfg.pop('levels', None), self.levels)
        shared = dict(
            in_channels={level: self.level_channels[level] for level in levels},
            num_classes=self.num_classes,
            num_bases=self.num_bases,
            **conv)
        for name in shared:
            if name in cfg:
                raise ValueError(f'dilation_erosion must leave {name} to the head, whose own the '
                                 f'branches have; got {cfg[name]!r}')
        cfg.update(shared)
        self.dilation = MODELS.build(cfg)
        self.erosion = MODELS.build(cfg)
        self.loss_dilation_erosion = MODELS.build(loss_dilation_erosion)
        radii = getattr(self.loss_dilation_erosion, 'radii', None)
        if radii is None:
            raise ValueError('loss_dilation_erosion must be a DilationErosionLoss, got '
                             f'{type(self.loss_dilation_erosion).__name__}')
        if len(radii) != len(levels):
            raise ValueError('loss_dilation_erosion radii must have one radius for each of the DE '
                             f'levels {levels}, got {list(radii)}')

    # ------------------------------------------------------------------ the pyramid

    def forward_levels(self, inputs: Sequence[Tensor], *, last_level: str | None = None,
                       refine_threshold: float = 0) -> dict[str, Tensor]:
        """Scores of every level.

        Args:
            inputs: the backbone's feature maps, what ``EncoderDecoder.extract_feat`` gives.
            last_level: stop after this level; nothing finer is computed. Default: the finest.
            refine_threshold: where no class's boundary mask reaches it, leave detail out, and
                compute coefficients only in the tiles that this leaves (inference only). 0 computes
                all of them, and so does a level where an image needs more than 0.6 of its tiles.

        Returns:
            ``{'32x': (N, C, h, w), ..., '4x': (N, C, H, W)}``, coarse to fine, each at its own
            resolution (1/8, 1/4, 1/2 and 1/1 of the input at u = 4, rounded up to whole blocks).

        Raises:
            TypeError, ValueError: if the level is not there or the threshold is not in [0, 1).
        """
        self._check_options(last_level, refine_threshold)
        return self._pyramid(self._features(inputs), last_level, refine_threshold)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Scores (N, C, H, W) of the finest level, at its own resolution."""
        return self.forward_levels(inputs)[self.levels[-1]]

    def _features(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """The selected maps by level, coarse to fine; an error where they are not what was said."""
        check_index(self.in_index, len(inputs))
        maps = reversed(self._transform_inputs(inputs))
        features = dict(zip(self.levels, maps, strict=True))
        check_channels(features, self.level_channels)
        for coarse, fine in self.finer.items():
            sizes = features[coarse].shape[2:], features[fine].shape[2:]
            if any(small not in (big // 2, (big + 1) // 2)
                   for small, big in zip(*sizes, strict=True)):
                raise ValueError(
                    f'the maps of {fine} and {coarse} must have strides that halve, as strides '
                    f'says, but are {tuple(sizes[1])} and {tuple(sizes[0])} pixels')
        return features

    def check_maps(self, inputs: Sequence[Tensor], side: int) -> None:
        """Refuse a backbone whose maps are not what ``in_channels`` and ``strides`` say.

        Args:
            inputs: the backbone's maps of a square input; only their shapes are looked at.
            side: of the input in pixels, a multiple of all strides.

        Raises:
            ValueError: naming the option and the map.
        """
        check_strides_found(self._features(inputs), side)

    def check_extent(self, level: str, scores: Tensor, size: Sequence[int],
                     stride: int | None = None) -> None:
        """Refuse scores that are finer than the level's stride in an input of ``size`` says.

        Args:
            level: whose scores they are.
            scores: (N, C, h, w).
            size: of the network's input.
            stride: of the scores in input pixels; the level's own by default.

        Raises:
            ValueError: naming the level and both sizes.
        """
        block = self.level_strides[level] * self.factors[level]
        stride = stride or self.level_strides[level]
        largest = [-(-side // block) * block // stride for side in size[:2]]
        if any(side > limit for side, limit in zip(scores.shape[2:], largest, strict=True)):
            raise ValueError(
                f'level {level} reads a map finer than its name says: scores of '
                f'{tuple(scores.shape[2:])} pixels for an input of {tuple(size[:2])}. Give the '
                'strides of the maps that are read (strides=..., fine to coarse)')

    def _pyramid(self, features: Mapping[str, Tensor], last_level: str | None = None,
                 refine_threshold: float = 0) -> dict[str, Tensor]:
        predictions = {}
        prediction = None
        for level, feature in features.items():
            if self.with_cp and self.training and torch.is_grad_enabled():
                prediction = checkpoint(self._refine, level, prediction, feature,
                                        use_reentrant=False)
            else:
                prediction = self._refine(level, prediction, feature, refine_threshold)
            predictions[level] = prediction
            if level == last_level:
                break
        return predictions

    def _refine(self, level: str, coarser: Tensor | None, feature: Tensor,
                refine_threshold: float = 0) -> Tensor:
        """up2(coarser) + mask * detail."""
        if coarser is None:
            return self._detail(level, feature)
        upsampled = self._upsample(level, coarser, feature)
        if level not in self.masks:
            return upsampled + self._detail(level, feature)
        mask = self.masks[level](upsampled)
        if refine_threshold > 0:
            active = active_tiles(mask, refine_threshold, self.factors[level])
            return upsampled + mask * self._detail(level, feature, active)
        return upsampled + mask * self._detail(level, feature)

    def _upsample(self, level: str, coarser: Tensor, feature: Tensor) -> Tensor:
        """up2(coarser), cut to what this level's own feature map is painted to."""
        size = tuple(side * self.factors[level] for side in feature.shape[2:])
        return self.upsamples[level](coarser, size)

    def _detail(self, level: str, feature: Tensor, active: Tensor | None = None) -> Tensor:
        """What a level's coefficients paint, (N, C, u * h, u * w)."""
        return self.reconstructions[level](self.coefficients[level](feature, active))

    # ------------------------------------------------------------------ training

    def loss(self, inputs: Sequence[Tensor], batch_data_samples: SampleList,
             train_cfg: ConfigType) -> dict[str, Tensor]:
        """Losses of every level and of the DE branches.

        Raises:
            FloatingPointError: if one is not finite (but in float16, where it is a warning); the
                message names losses, maps, images and parameters.
        """
        self._report_bases()
        features = self._features(inputs)
        scores = self._pyramid(features)
        losses = self.loss_by_feat(scores, batch_data_samples)
        if self.dilation is not None:
            branches = (features, self.reconstructions, self.upsamples)
            losses.update(
                self.loss_dilation_erosion(
                    self.dilation(*branches), self.erosion(*branches),
                    self._stack_batch_gt(batch_data_samples).squeeze(1), self.level_strides,
                    self.ignore_index))
        # The labels were read just before: nothing has to wait for this longer than it did.
        check_losses(
            losses,
            {f'{kind} of level {level}': item
             for kind, maps in (('feature map', features), ('score map', scores))
             for level, item in maps.items()},
            self, batch_data_samples)
        return losses

    def loss_by_feat(self, seg_logits: Mapping[str, Tensor],
                     batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of every level at its own resolution.

        Args:
            seg_logits: what :meth:`forward_levels` gives.
            batch_data_samples: samples with ``gt_sem_seg``, padded to one size.

        Returns:
            ``{'loss_ce_32x': scalar, ..., 'acc_seg': accuracy of the finest level in percent}``.
        """
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        losses: dict[str, Tensor] = {}
        for level, scores in seg_logits.items():
            self.check_extent(level, scores, labels.shape[1:])
            level_labels = subsample_labels(labels, self.level_strides[level])
            # Some of the toolbox's losses flatten with view().
            scores = crop(scores, level_labels.shape[1:]).contiguous()
            for loss_decode in self._losses_decode():
                name = f'{loss_decode.loss_name}_{level}'
                value = one_number(
                    loss_decode(scores, level_labels, ignore_index=self.ignore_index), scores)
                losses[name] = losses[name] + value if name in losses else value
        losses['acc_seg'] = accuracy(scores, level_labels, ignore_index=self.ignore_index)
        return losses

    def _losses_decode(self) -> Sequence[nn.Module]:
        if isinstance(self.loss_decode, nn.ModuleList):
            return self.loss_decode
        return [self.loss_decode]

    def _stack_batch_gt(self, batch_data_samples: SampleList) -> Tensor:
        """(N, 1, H, W) labels; an error names the image whose labels are not classes."""
        labels = super()._stack_batch_gt(batch_data_samples)
        check_labels(labels, self.num_classes, self.ignore_index, batch_data_samples)
        return labels

    # ------------------------------------------------------------------ testing

    def predict(self, inputs: Sequence[Tensor], batch_img_metas: list[dict],
                test_cfg: ConfigType) -> Tensor:
        """Scores (N, C, H, W) at the size of the network's input.

        Args:
            inputs: the backbone's feature maps.
            batch_img_metas: as in the toolbox.
            test_cfg: the segmentor's; ``last_level`` and ``refine_threshold`` are those of
                :meth:`forward_levels`. A level that is the last one gives what
                :meth:`level_scores` says of it.
        """
        outputs = self.level_scores(inputs, all_levels=False, test_cfg=test_cfg)
        (level, (scores, stride)), = outputs.items()
        return self.predict_by_feat(scores, batch_img_metas, level, stride)

    def test_options(self, test_cfg: ConfigType | None) -> dict:
        """The options of :meth:`forward_levels` that a segmentor's ``test_cfg`` has.

        Raises:
            ValueError: if the level is not there or the threshold is not in [0, 1).
        """
        test_cfg = test_cfg or {}
        last_level = test_cfg.get('last_level')
        threshold = test_cfg.get('refine_threshold', 0)
        self._check_options(last_level, threshold, 'test_cfg.')
        return dict(last_level=last_level, refine_threshold=threshold)

    def _check_options(self, last_level: str | None, refine_threshold: float,
                       prefix: str = '') -> None:
        if last_level is not None:
            checks.one_of(f'{prefix}last_level', last_level, self.levels)
        checks.number(f'{prefix}refine_threshold', refine_threshold, 0)
        if refine_threshold >= 1:
            raise ValueError(f'{prefix}refine_threshold must be below 1, the mask\'s maximum, '
                             f'got {refine_threshold!r}')
        if refine_threshold and not self.masks:
            raise ValueError(f'{prefix}refine_threshold needs boundary masks, which boundary_mask='
                             f'None leaves out; got {refine_threshold!r}, expected 0')

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict],
                        level: str | None = None, stride: int | None = None) -> Tensor:
        """Bring scores to the network's input size: upsample by a whole factor, then crop.

        Args:
            seg_logits: (N, C, h, w) scores of a level.
            batch_img_metas: as in the toolbox.
            level: whose scores they are; the finest one's by default.
            stride: of the scores in input pixels; the level's own by default.

        Returns:
            (N, C, H, W) at the size of the network's input; aligned at its top left, never
            stretched.
        """
        meta = batch_img_metas[0]
        if isinstance(meta['img_shape'], torch.Size):  # a window of the toolbox's slide mode
            size = meta['img_shape']
        else:
            size = meta.get('pad_shape', meta['img_shape'])
        level = level or self.levels[-1]
        stride = stride or self.level_strides[level]
        self.check_extent(level, seg_logits, size, stride)
        if stride > 1:
            seg_logits = F.interpolate(
                seg_logits, scale_factor=stride, mode='bilinear', align_corners=False)
        return crop(seg_logits, tuple(size[:2]))

    def level_scores(self, inputs: Sequence[Tensor],
                     all_levels: bool = True,
                     test_cfg: ConfigType | None = None) -> dict[str, tuple[Tensor, int]]:
        """Scores by which each level is judged in testing (spec section 1.5).

        In a masked network a coarse level's output is its scores upsampled to the next level, the
        very map that the mask is made of, also where nothing finer is computed; the finest level's,
        and every level's of an unmasked network, are its scores.

        Args:
            inputs: the backbone's feature maps.
            all_levels: or the last level alone.
            test_cfg: see :meth:`predict`.

        Returns:
            By level, coarse to fine: scores (N, C, h, w) and their stride in input pixels.
        """
        features = self._features(inputs)
        scores = self._pyramid(features, **self.test_options(test_cfg))
        outputs = {}
        for level in list(scores) if all_levels else list(scores)[-1:]:
            fine = self.finer.get(level)
            if fine in self.masks:
                outputs[level] = (self._upsample(fine, scores[level], features[fine]),
                                  self.level_strides[fine])
            else:
                outputs[level] = scores[level], self.level_strides[level]
        return outputs

    def level_masks(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Boundary masks of the masked levels among those of ``scores``, to look at.

        Args:
            scores: what :meth:`forward_levels` gives.

        Returns:
            By level, coarse to fine: (N, C, H, W) in [0, 1], at the level's own resolution.
        """
        return {
            fine: self.masks[fine](self.upsamples[fine](scores[coarse], scores[fine].shape[2:]))
            for coarse, fine in pairwise(scores)
            if fine in self.masks
        }

    # ------------------------------------------------------------------ bases

    def set_bases(self, bases: Tensor | np.ndarray) -> None:
        """Fill every level's basis functions from one set.

        Args:
            bases: (num_classes, num_bases, 32, 32).

        Raises:
            ValueError: on another shape, or values that are not finite.
        """
        bases = torch.as_tensor(bases, dtype=torch.float32)
        expected = (self.num_classes, self.num_bases, 32, 32)
        if tuple(bases.shape) != expected:
            raise ValueError(f'bases must have shape {expected} = (num_classes, num_bases, 32, 32),'
                             f' got {tuple(bases.shape)}')
        if not torch.isfinite(bases).all():
            raise ValueError('bases must be finite numbers in float32, got some that are not')
        for reconstruction in self.reconstructions.values():
            reconstruction.set_bases(bases)
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
        """Give levels that a checkpoint of fewer levels lacks the bases that it has.

        A stage-1 checkpoint (LRR-32x) so brings the bases of stage 2 (LRR-4x). Where the
        checkpoint's bases do not fit, the flag is not taken over either, so that the hook computes
        new ones.
        """
        flag = prefix + 'bases_loaded'
        keys = {level: f'{prefix}reconstructions.{level}.bases' for level in self.levels}
        stored = [level for level in self.levels if keys[level] in state_dict]
        if flag in state_dict and stored:
            source = stored[0]
            for level in self.levels:
                own = self.reconstructions[level].bases
                if level not in stored and state_dict[keys[source]].shape == own.shape:
                    state_dict[keys[level]] = state_dict[keys[source]].clone()
                    print_log(f'Level {level} takes over the basis functions of {source}.',
                              logger='current')
            fits = all(
                keys[level] in state_dict
                and state_dict[keys[level]].shape == self.reconstructions[level].bases.shape
                for level in self.levels)
            state_dict[flag] = state_dict[flag] & fits
        super()._load_from_state_dict(state_dict, prefix, *args)


def subsample_labels(labels: Tensor, stride: int) -> Tensor:
    """Every ``stride``-th label at half-pixel centres: index stride * i + stride // 2.

    Args:
        labels: (N, H, W).

    Returns:
        (N, h, w), the samples whose index lies inside the map.
    """
    return labels[:, stride // 2::stride, stride // 2::stride].contiguous()
