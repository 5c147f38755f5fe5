# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""LRR's refinement on top of another decode head."""

from collections.abc import Sequence

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_lrr.ops.resampling import fit_scores

from .lrr_head import LRRHead


@MODELS.register_module()
class LRRRefineHead(LRRHead, BaseCascadeDecodeHead):
    """Adds LRR's masked detail to the scores of any decode head before it in a cascade.

    In LRR's place of the coarsest prediction stand the scores of the head before, resized
    bilinearly to the first level's resolution. Every level, the first one too, adds its detail
    where the scores before it are unsure (docs/method.md, "Refining another network"). As the
    coefficients start at zero, training starts from the coarse network's own prediction.

    The last head of mmseg's ``CascadeEncoderDecoder``, or of ``LRRCascadeEncoderDecoder``, which
    can freeze the network that is refined and tests as LRR does.

    Args:
        in_channels: Channels of the feature maps that are read; see :class:`LRRHead`. A dilated
            backbone's maps do not all double in stride: ``in_index`` names those that do, 4x and 8x
            of a ResNet of stride 8.
        num_classes: Number of classes, that of the head before.
        strides: Strides of the feature maps in input pixels. Default: the first of 4, 8, ..., 64.
        dilation_erosion: Config of the DE branches, see :class:`LRRHead`; without them by default.
        upsample_border: See :class:`LRRHead`. By default what is refined is not changed at the
            image's border.
        **kwargs: Those of :class:`LRRHead`.
    """

    refines = True

    def __init__(self, in_channels: int | Sequence[int], num_classes: int, *args,
                 strides: Sequence[int] | None = None, dilation_erosion: ConfigType | None = None,
                 upsample_border: str = 'replicate', **kwargs) -> None:
        number = 1 if isinstance(in_channels, int) else len(in_channels)
        super().__init__(
            in_channels, num_classes, *args, strides=strides or (4, 8, 16, 32, 64)[:number],
            dilation_erosion=dilation_erosion, upsample_border=upsample_border, **kwargs)

    def coarse_scores(self, inputs: Sequence[Tensor], prev_output: Tensor) -> Tensor:
        """Bring the scores of the head before to the first level's resolution.

        Args:
            inputs: The backbone's feature maps.
            prev_output: (N, C, h, w), of any stride that is a power of 2.

        Returns:
            (N, C, H, W).
        """
        if prev_output.shape[1] != self.num_classes:
            raise ValueError(f'num_classes={self.num_classes}, but the head before this one gives '
                             f'scores of {prev_output.shape[1]} classes; make them equal')
        features = self._features(inputs)
        sizes = [[level.factor * side for side in features[name].shape[2:]]
                 for name, level in self.levels.items()]
        # Rounded up to whole cells, equally fine scores may reach beyond the finest level's.
        if max(prev_output.shape[2:]) >= 2 * max(sizes[-1]):
            raise ValueError(
                f'the head before this one gives scores of {tuple(prev_output.shape[2:])} pixels, '
                f'finer than those of the finest level, {tuple(sizes[-1])}: read a finer feature '
                'map (in_index), or raise reconstruction_factor')
        cell = max(32, self.strides[-1])  # to which scores of common networks are rounded up
        return fit_scores(prev_output, sizes[0], cell // next(iter(self.level_strides.values())))

    def forward(self, inputs: Sequence[Tensor], prev_output: Tensor) -> Tensor:
        """Scores (N, C, H, W) of the finest level, at its own resolution."""
        return list(self.forward_levels(inputs, prev_output).values())[-1]

    def forward_levels(self, inputs: Sequence[Tensor], prev_output: Tensor,
                       **options) -> dict[str, Tensor]:
        """Compute the scores of every level; ``options`` are those of :class:`LRRHead`."""
        coarser = self.coarse_scores(inputs, prev_output)
        return super().forward_levels(inputs, coarser=coarser, **options)

    def loss(self, inputs: Sequence[Tensor], prev_output: Tensor, batch_data_samples: SampleList,
             train_cfg: ConfigType) -> dict[str, Tensor]:
        """Compute the losses of every level."""
        return super().loss(inputs, batch_data_samples, train_cfg, prev_output=prev_output)

    def predict(self, inputs: Sequence[Tensor], prev_output: Tensor, batch_img_metas: list[dict],
                test_cfg: ConfigType) -> Tensor:
        """Compute scores (N, C, H, W) at the size of the network's input."""
        return super().predict(inputs, batch_img_metas, test_cfg, prev_output=prev_output)

    def level_scores(self, inputs: Sequence[Tensor], prev_output: Tensor, all_levels: bool = True,
                     test_cfg: ConfigType | None = None) -> dict[str, tuple[Tensor, int]]:
        """Compute the scores by which each level is judged, after those of the head before.

        Returns:
            As of :class:`LRRHead`; with ``all_levels`` the first one is ``'coarse'``, the very map
            that the first mask is made of.
        """
        levels = super().level_scores(inputs, all_levels, test_cfg, prev_output=prev_output)
        if not all_levels:
            return levels
        stride = next(iter(self.level_strides.values()))
        return {'coarse': (self.coarse_scores(inputs, prev_output), stride), **levels}
