# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""VGG-16 as a fully convolutional network, with fc6 and fc7."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...ops import checks

# Number of VGG-16's convolution stages; fc6 and fc7 come after them.
_NUM_STAGES = 5
# Stage (counted from 0) whose last convolution each output is taken from; the output after
# these is fc7.
_OUTPUT_STAGES = (2, 3, 4)


def _import_vgg() -> type:
    """Imports mmpretrain's VGG when a network is built, not when the package is.

    Importing ``mmpretrain.models`` takes seconds, and a set-up that never builds this backbone
    need not have it.
    """
    try:
        from mmpretrain.models.backbones import VGG
    except ImportError as error:
        raise ImportError(
            "VGG16FC is built on mmpretrain's VGG, and mmpretrain.models cannot be imported here "
            f'({type(error).__name__}: {error}). Remedy: pip install "mmpretrain>=1.2.0"'
        ) from error
    return VGG


@MODELS.register_module()
class VGG16FC(BaseModule):
    """Fully convolutional VGG-16: conv3_3, conv4_3, conv5_3 and fc7.

    The five stages are those of mmpretrain's ``VGG`` (depth 16, max pooling with
    ``ceil_mode=True``), but each output is taken *before* the stage's pooling, where mmpretrain's
    own are after it. fc6 is a 7x7 convolution with padding 3 and fc7 a 1x1 convolution, each
    followed by a ReLU and a dropout of 0.5; fc8, the classifier, is left out. Odd sizes are
    rounded up at every pooling.

    Source: spec section 1; the network the authors of LRR start from.

    A state dict of mmpretrain's ImageNet classifier loads as it is (``features.N.conv.*`` and
    ``classifier.{0,3,6}.*``): the two linear layers are reshaped into convolutions, the last one
    is dropped. In a config::

        backbone=dict(
            type='VGG16FC',
            init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.'))

    Such weights need the normalisation they were trained with, mean and std.

    Args:
        out_indices (Sequence[int]): Outputs to return, rising, out of 0 (conv3_3, stride 4),
            1 (conv4_3, stride 8), 2 (conv5_3, stride 16) and 3 (fc7, stride 32). Layers after
            the last one asked for are not built. Defaults to (0, 1, 2, 3).
        frozen_stages (int): Convolution stages, from the first, that are not trained: 0 to 5, or
            -1, which like 0 freezes nothing. Defaults to -1.
        fc_channels (int): Channels of fc6 and fc7. ImageNet's weights need 4096.
            Defaults to 4096.
        init_cfg (dict or list[dict], optional): Initialisation. Defaults to mmpretrain's for
            VGG: Kaiming for all convolutions.

    Raises:
        ImportError: If mmpretrain is missing.
        TypeError, ValueError: If ``out_indices``, ``frozen_stages`` or ``fc_channels`` is none of
            these.
    """

    def __init__(
        self,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        fc_channels: int = 4096,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        out_indices = checks.integers('out_indices', out_indices)
        if list(out_indices) != sorted(set(out_indices) & set(range(len(_OUTPUT_STAGES) + 1))):
            raise ValueError(
                f'out_indices must be rising numbers out of 0 to {len(_OUTPUT_STAGES)}, got '
                f'{out_indices}'
            )
        checks.integer('frozen_stages', frozen_stages, minimum=-1, maximum=_NUM_STAGES)
        checks.integer('fc_channels', fc_channels, minimum=1)
        if init_cfg is not None:
            checks.configs('init_cfg', init_cfg)
        super().__init__(init_cfg or dict(type='Kaiming', layer=['Conv2d']))
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages

        # Layers that no output needs would be parameters without a gradient, which distributed
        # training refuses.
        with_fc = out_indices[-1] == len(_OUTPUT_STAGES)
        num_stages = _NUM_STAGES if with_fc else _OUTPUT_STAGES[out_indices[-1]] + 1
        vgg = _import_vgg()(
            depth=16,
            num_stages=num_stages,
            dilations=(1,) * num_stages,
            ceil_mode=True,
            out_indices=(num_stages - 1,),
        )
        self.features = vgg.features
        # Each stage's modules in ``features``: from the first convolution up to the pooling.
        self._stages = [(start, end - 1) for start, end in vgg.range_sub_modules]
        self._kept_stages = {_OUTPUT_STAGES[i] for i in out_indices if i < len(_OUTPUT_STAGES)}
        if with_fc:
            self.fc6 = ConvModule(512, fc_channels, 7, padding=3)
            self.fc7 = ConvModule(fc_channels, fc_channels, 1)
            self.dropout = nn.Dropout(0.5)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Computes the feature maps.

        Args:
            x (Tensor): Images, (N, 3, H, W), H and W at least 1.

        Returns:
            tuple[Tensor]: The maps that ``out_indices`` asks for, out of conv3_3
            (N, 256, H/4, W/4), conv4_3 (N, 512, H/8, W/8), conv5_3 (N, 512, H/16, W/16) and fc7
            (N, fc_channels, H/32, W/32); sizes are halved one after the other, rounding up.
        """
        outs = []
        for stage, (start, pool) in enumerate(self._stages):
            for i in range(start, pool):
                x = self.features[i](x)
            if stage in self._kept_stages:
                outs.append(x)
            x = self.features[pool](x)
        if self._with_fc:
            x = self.dropout(self.fc6(x))
            outs.append(self.dropout(self.fc7(x)))
        return tuple(outs)

    def train(self, mode: bool = True) -> VGG16FC:
        """Sets the mode, and keeps the frozen stages out of training."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        for start, pool in self._stages[: max(self.frozen_stages, 0)]:
            for layer in self.features[start:pool]:
                layer.eval()
                layer.requires_grad_(False)

    @property
    def _with_fc(self) -> bool:
        return len(_OUTPUT_STAGES) in self.out_indices

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        """Takes the classifier's linear layers, as ImageNet checkpoints have them, for fc6, fc7.

        The keys are changed in place: the loaders of PyTorch and MMEngine hand over a copy, and
        go on with it to the layers within.
        """
        for name, layer in (('fc6', 'classifier.0'), ('fc7', 'classifier.3')):
            weight = state_dict.pop(f'{prefix}{layer}.weight', None)
            bias = state_dict.pop(f'{prefix}{layer}.bias', None)
            if weight is not None and self._with_fc:
                conv = getattr(self, name).conv
                # A linear layer reads the flattened map channel by channel, row by row: the
                # order of a filter's own axes.
                if weight.numel() == conv.weight.numel():
                    weight = weight.reshape(conv.weight.shape)
                state_dict[f'{prefix}{name}.conv.weight'] = weight
            if bias is not None and self._with_fc:
                state_dict[f'{prefix}{name}.conv.bias'] = bias
        for kind in ('weight', 'bias'):
            state_dict.pop(f'{prefix}classifier.6.{kind}', None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
