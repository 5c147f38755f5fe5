# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One level of the Laplacian pyramid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.class_gating import varying_classes
from mmseg_lrr.ops.precision import full_precision
from mmseg_lrr.ops.pyramid import fit_map
from mmseg_lrr.ops.reconstruction import reconstruct
from mmseg_lrr.ops.resampling import BORDERS, upsample2x

from .basis_reconstruction import BasisReconstruction
from .coefficient_conv import CoefficientConv


class LRRLevel(nn.Module):
    """Add the detail of one feature map to a coarser level's scores.

    ``scores = up2(coarser) + mask * detail``: a convolution turns the feature map into coefficients
    of each class's basis functions, which paint the detail; the mask lets it in where the coarser
    level is unsure (docs/method.md, "The pyramid").

    Args:
        in_channels: Channels of the feature map.
        num_classes: Number of classes C.
        num_bases: Number of basis functions per class, K.
        factor: u, the factor from the feature map to the score map.
        kernel_size: Of the coefficient convolution.
        learned_bases: Whether the basis functions are trained.
        mask: Module from upsampled scores (N, C, H, W) to the mask of the detail, of the same
            shape; None adds all of the detail.
        upsample_factor: Factor from the coarser level's score map to this one's, 2 or 1.
        upsample_border: See :func:`~mmseg_lrr.ops.resampling.upsample2x`.
    """

    def __init__(self, *, in_channels: int, num_classes: int, num_bases: int = 10, factor: int = 4,
                 kernel_size: int = 5, learned_bases: bool = False,
                 mask: nn.Module | None = None, upsample_factor: int = 2,
                 upsample_border: str = 'zeros') -> None:
        super().__init__()
        self.coefficients = CoefficientConv(in_channels, num_classes * num_bases, kernel_size)
        self.reconstruction = BasisReconstruction(
            num_classes=num_classes, num_bases=num_bases, factor=factor, learned=learned_bases)
        self.mask = mask
        self.factor = factor
        self.upsample_factor = upsample_factor
        self.upsample_border = checks.one_of('upsample_border', upsample_border, BORDERS)

    def forward(self, feature: Tensor, coarser: Tensor | None = None,
                class_threshold: float = 0.) -> Tensor:
        """Compute the scores of this level.

        Args:
            feature: (N, in_channels, h, w).
            coarser: Scores of the next coarser level, or None for the coarsest level of all.
            class_threshold: Above 0, a masked level adds, image by image, the detail of those
                classes alone whose probability varies by more at the coarser level; others have
                masks of about that, or less. In testing.

        Returns:
            (N, C, u * h, u * w).
        """
        if coarser is None:
            return self.detail(feature)
        if class_threshold > 0 and self.mask is not None:
            return self._gated(feature, coarser, class_threshold)
        scores = self.upsample(coarser, feature.shape[2:])
        if self.mask is None:
            return scores + self.detail(feature)
        return scores + self.mask(scores) * self.detail(feature)

    def _gated(self, feature: Tensor, coarser: Tensor, threshold: float) -> Tensor:
        """Add the masked detail of the classes that vary alone, image by image."""
        scores = full_precision(self.upsample(coarser, feature.shape[2:]))
        if self.upsample_factor == 1:  # still the coarser level's own
            scores = scores.clone()
        varying, rest = varying_classes(coarser, threshold)
        counts = varying.sum(dim=1)
        others = (varying.shape[1] - counts).clamp(min=1).to(rest).log().view(-1, 1, 1, 1)
        rest = self.upsample(rest, feature.shape[2:]) + others
        order = varying.byte().argsort(dim=1, descending=True, stable=True)
        for image, count in enumerate(counts.tolist()):  # the one wait for a GPU
            here = slice(image, image + 1)
            if count == varying.shape[1]:
                scores[here] += self.mask(scores[here]) * self.detail(feature[here])
            elif count:
                classes = order[image, :count]
                # One more channel has the others' part in the sum of the softmax.
                mask = self.mask(torch.cat([scores[here, classes], rest[here]], dim=1))[:, :-1]
                scores[image].index_add_(
                    0, classes, (mask * self.detail(feature[here], classes))[0])
        return scores

    def detail(self, feature: Tensor, classes: Tensor | None = None) -> Tensor:
        """(N, in_channels, h, w) feature map -> (N, C, u * h, u * w), painted with the bases.

        With indices of A ``classes``, of these alone: (N, A, u * h, u * w).
        """
        if classes is None:
            return self.reconstruction(self.coefficients(feature))
        conv, bases = self.coefficients, self.reconstruction.bases
        weight, bias = (item.unflatten(0, bases.shape[:2])[classes].flatten(0, 1)
                        for item in (conv.weight, conv.bias))
        coefficients = F.conv2d(feature, weight, bias, padding=conv.padding)
        return reconstruct(coefficients, bases[classes])

    def upsample(self, coarser: Tensor, size: Sequence[int]) -> Tensor:
        """Bring coarser scores to this level's resolution, fitted to its feature map.

        Args:
            coarser: (N, C, H, W).
            size: (h, w) of the feature map.

        Returns:
            (N, C, u * h, u * w).
        """
        if self.upsample_factor == 2:
            coarser = upsample2x(coarser, self.upsample_border)
        # Rounded, the coarser feature map covers at most one finer cell more, or less.
        return fit_map(coarser, [self.factor * side for side in size], 2 * self.factor)
