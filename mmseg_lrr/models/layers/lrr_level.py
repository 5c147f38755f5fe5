# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One level of the Laplacian pyramid."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_lrr.ops import checks
from mmseg_lrr.ops.pyramid import crop
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

    def forward(self, feature: Tensor, coarser: Tensor | None = None) -> Tensor:
        """Compute the scores of this level.

        Args:
            feature: (N, in_channels, h, w).
            coarser: Scores of the next coarser level, or None for the coarsest level of all.

        Returns:
            (N, C, u * h, u * w).
        """
        if coarser is None:
            return self.detail(feature)
        scores = self.upsample(coarser, feature.shape[2:])
        if self.mask is None:
            return scores + self.detail(feature)
        return scores + self.mask(scores) * self.detail(feature)

    def detail(self, feature: Tensor) -> Tensor:
        """(N, in_channels, h, w) feature map -> (N, C, u * h, u * w), painted with the bases."""
        return self.reconstruction(self.coefficients(feature))

    def upsample(self, coarser: Tensor, size: Sequence[int]) -> Tensor:
        """Bring coarser scores to this level's resolution, cut to its feature map.

        Args:
            coarser: (N, C, H, W).
            size: (h, w) of the feature map.

        Returns:
            (N, C, u * h, u * w).
        """
        if self.upsample_factor == 2:
            coarser = upsample2x(coarser, self.upsample_border)
        # Rounded up, the coarser feature map covers at most one cell more than the finer one.
        return crop(coarser, [self.factor * side for side in size], 2 * self.factor)
