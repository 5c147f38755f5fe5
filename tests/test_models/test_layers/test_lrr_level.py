# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One level by itself: the equation, and how it brings a coarser map to its own size."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmseg_lrr.models.layers import BoundaryMask, LRRLevel

from ... import references


def random_level(**options) -> LRRLevel:
    level = LRRLevel(in_channels=3, num_classes=2, num_bases=4, kernel_size=3, **options).double()
    for tensor in level.state_dict().values():
        nn.init.normal_(tensor)
    return level


def detail_of(level: LRRLevel, feature: Tensor) -> np.ndarray:
    coefficients = references.convolve(
        feature.numpy(), level.coefficients.weight.detach().numpy(),
        level.coefficients.bias.detach().numpy())
    return references.paint_blocks(coefficients, level.reconstruction.bases.numpy())


@pytest.mark.parametrize(('options', 'border', 'window'), [
    (dict(), 'zeros', None),
    (dict(mask=BoundaryMask(window=5), upsample_border='replicate'), 'replicate', 5),
])
@torch.no_grad()
def test_the_equation(options: dict, border: str, window: int | None) -> None:
    level = random_level(**options)
    feature = torch.randn(2, 3, 3, 5, dtype=torch.float64)
    coarser = torch.randn(2, 2, 8, 12, dtype=torch.float64)
    details = [coarser.numpy(), detail_of(level, feature)]
    expected = references.pyramid(details, windows=[None, window], border=border)[1]
    np.testing.assert_allclose(level(feature, coarser).numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(level(feature).numpy(), details[1], rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_an_equally_fine_coarser_level_is_not_upsampled() -> None:
    level = random_level(upsample_factor=1)
    feature = torch.randn(2, 3, 3, 5, dtype=torch.float64)
    coarser = torch.randn(2, 2, 16, 24, dtype=torch.float64)
    expected = coarser.numpy()[:, :, :12, :20] + detail_of(level, feature)
    np.testing.assert_allclose(level(feature, coarser).numpy(), expected, rtol=1e-10, atol=1e-10)


# Rounded down, or of a dilated backbone, on either axis.
@pytest.mark.parametrize('size', [(2, 4), (4, 4), (3, 3), (3, 5)])
def test_a_coarser_map_of_another_stride_is_refused(size: tuple[int, int]) -> None:
    level = LRRLevel(in_channels=3, num_classes=2)
    coarser = torch.zeros(1, 2, *(4 * side for side in size))
    with pytest.raises(ValueError, match='strides.*rounds down.*size_divisor'):
        level(torch.zeros(1, 3, 5, 7), coarser)
