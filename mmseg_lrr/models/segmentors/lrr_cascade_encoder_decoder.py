# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A network, and LRR that refines it."""

from collections.abc import Sequence

from mmseg.models.segmentors import CascadeEncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import SampleList, add_prefix
from torch import Tensor, nn

from mmseg_lrr.ops import checks

from ..decode_heads.checkpoint_filter import cascade_keys
from .lrr_encoder_decoder import LRREncoderDecoder


@MODELS.register_module()
class LRRCascadeEncoderDecoder(LRREncoderDecoder, CascadeEncoderDecoder):
    """``CascadeEncoderDecoder`` that tests as LRR does, and can freeze the network it refines.

    ``load_from`` takes a checkpoint of the coarse network alone, such as mmseg publishes: the
    weights of its decode head become those of the first one here.

    Args:
        decode_head: Configs of the coarse head and of a head that refines its scores, such as
            ``LRRRefineHead``.
        num_stages: Number of decode heads.
        frozen_stages: 1: backbone, neck and first decode head are not trained, their
            normalisation stays as it is, the first head's loss is not computed, and there is no
            auxiliary head. 0: all is trained. More: further heads are frozen too.
        **kwargs: Those of :class:`LRREncoderDecoder`.
    """

    def __init__(self, *, num_stages: int = 2, frozen_stages: int = 0, **kwargs) -> None:
        self.frozen_stages = checks.integer('frozen_stages', frozen_stages, 0, num_stages - 1)
        if frozen_stages:
            kwargs['auxiliary_head'] = None
        super().__init__(num_stages=num_stages, **kwargs)
        classes = [head.out_channels for head in self.decode_head]
        if len(set(classes)) > 1:
            raise ValueError('num_classes (or out_channels) must be the same in all of '
                             f'decode_head, got {classes}')
        for module in self._frozen():
            module.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        if not self.frozen_stages:
            return []
        necks = [self.neck] if self.with_neck else []
        return [self.backbone, *necks, *self.decode_head[:self.frozen_stages]]

    def train(self, mode: bool = True) -> 'LRRCascadeEncoderDecoder':
        """Change the mode of all but what is frozen, which stays in evaluation mode."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def start(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the last head is given besides the feature maps: the scores of the one before it."""
        scores: tuple[Tensor, ...] = ()
        for head in self.decode_head[:-1]:
            scores = head(features, *scores),
        return scores

    def _decode_head_forward_train(self, inputs: Sequence[Tensor],
                                   data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses of the heads that are not frozen."""
        losses: dict[str, Tensor] = {}
        scores: tuple[Tensor, ...] = ()
        for stage, head in enumerate(self.decode_head):
            if stage >= self.frozen_stages:
                losses.update(add_prefix(
                    head.loss(inputs, *scores, data_samples, self.train_cfg), f'decode_{stage}'))
            if head is not self.decode_head[-1]:
                scores = head(inputs, *scores),
        return losses

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        renamed = cascade_keys(state_dict, prefix)
        state_dict.clear()
        state_dict.update(renamed)
        super()._load_from_state_dict(state_dict, prefix, *args)
