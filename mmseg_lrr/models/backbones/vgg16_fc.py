# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""VGG-16 as a fully convolutional network, with fc6 and fc7."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

# Stages (counted from 0) whose last convolution outputs 0, 1 and 2 are taken from; output 3 is fc7.
_OUTPUT_STAGES = (2, 3, 4)


@MODELS.register_module()
class VGG16FC(BaseModule):
    """Fully convolutional VGG-16: conv3_3, conv4_3, conv5_3 and fc7.

    The stages are those of mmpretrain's ``VGG`` (depth 16, max pooling with ``ceil_mode=True``),
    but each output is taken *before* the stage's pooling, where mmpretrain's are after it. fc6 is
    a 7x7 convolution with padding 3 and fc7 a 1x1 convolution, each followed by a ReLU and a
    dropout of 0.5; fc8, the classifier, is left out.

    Source: the network the authors of LRR start from.

    A state dict of mmpretrain's ImageNet classifier loads as it is (``features.N.conv.*`` and
    ``classifier.{0,3,6}.*``): the two linear layers are reshaped into convolutions, the last one
    is dropped. Such weights need the normalisation they were trained with. In a config::

        backbone=dict(
            type='VGG16FC',
            init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.'))

    Args:
        out_indices: Outputs to return, rising, out of 0 (conv3_3, stride 4), 1 (conv4_3, stride
            8), 2 (conv5_3, stride 16) and 3 (fc7, stride 32). Layers after the last one asked for
            are not built.
        frozen_stages: Number of convolution stages, from the first, that are not trained; -1, like
            0, freezes nothing.
        fc_channels: Channels of fc6 and fc7. ImageNet's weights need 4096.
        init_cfg: Initialisation. Defaults to mmpretrain's for VGG: Kaiming for all convolutions.

    Raises:
        ValueError: If ``out_indices`` are not rising or not out of 0 to 3.
    """

    def __init__(
        self,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        fc_channels: int = 4096,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer=['Conv2d']))
        if not out_indices or list(out_indices) != sorted(set(out_indices) & {0, 1, 2, 3}):
            raise ValueError(f'out_indices must be rising numbers out of 0 to 3, got {out_indices}')
        # Here, as importing it takes seconds, and networks without this backbone do not need it.
        from mmpretrain.models.backbones import VGG

        self.frozen_stages = frozen_stages
        # Layers that no output needs would be parameters without a gradient, which distributed
        # training refuses.
        self._with_fc = 3 in out_indices
        num_stages = 5 if self._with_fc else _OUTPUT_STAGES[out_indices[-1]] + 1
        vgg = VGG(
            depth=16, num_stages=num_stages, dilations=(1,) * num_stages, ceil_mode=True,
            out_indices=(num_stages - 1,))
        self.features = vgg.features
        # Each stage's modules in `features`: from the first convolution up to the pooling.
        self._stages = [(start, end - 1) for start, end in vgg.range_sub_modules]
        self._kept_stages = {_OUTPUT_STAGES[i] for i in out_indices if i < 3}
        if self._with_fc:
            self.fc6 = ConvModule(512, fc_channels, 7, padding=3)
            self.fc7 = ConvModule(fc_channels, fc_channels, 1)
            self.dropout = nn.Dropout(0.5)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: Images, ``(N, 3, H, W)``.

        Returns:
            The maps that ``out_indices`` asks for, with 256, 512, 512 and
            ``fc_channels`` channels; every pooling rounds odd sizes up.
        """
        outs = []
        for stage, (start, pool) in enumerate(self._stages):
            x = self.features[start:pool](x)
            if stage in self._kept_stages:
                outs.append(x)
            x = self.features[pool](x)
        if self._with_fc:
            x = self.dropout(self.fc6(x))
            outs.append(self.dropout(self.fc7(x)))
        return tuple(outs)

    def train(self, mode: bool = True) -> VGG16FC:
        """Set the mode; frozen stages stay out of training."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        for start, pool in self._stages[:max(self.frozen_stages, 0)]:
            self.features[start:pool].eval().requires_grad_(False)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        """Take the linear layers of an ImageNet checkpoint's classifier for fc6 and fc7."""
        for key in [key for key in state_dict if key.startswith(f'{prefix}classifier.')]:
            value = state_dict.pop(key)
            number, kind = key.removeprefix(f'{prefix}classifier.').split('.')
            name = {'0': 'fc6', '3': 'fc7'}.get(number)
            if name and self._with_fc:
                conv = getattr(self, name).conv
                # A linear layer reads the flattened map channel by channel, row by row: the
                # order of a filter's own axes.
                if value.numel() == conv.weight.numel():
                    value = value.reshape(conv.weight.shape)
                state_dict[f'{prefix}{name}.conv.{kind}'] = value
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
