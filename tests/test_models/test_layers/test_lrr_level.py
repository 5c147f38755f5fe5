# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""One level by itself: the equation, and how it brings a coarser map to its own size."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmseg_lrr.models.layers import BoundaryMask, LRRLevel

from ... import references


def random_level(**options) -> LRRLevel:
    options = dict(num_classes=2) | options
    level = LRRLevel(in_channels=3, num_bases=4, kernel_size=3, **options).double()
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


@pytest.mark.parametrize(('border', 'step'), [('zeros', 2), ('replicate', 2), ('zeros', 1)])
@torch.no_grad()
def test_only_classes_that_vary_get_detail(border: str, step: int) -> None:
    """Against all classes' masks and details, without the details of those that hardly vary."""
    level = random_level(num_classes=5, mask=BoundaryMask(window=5), upsample_border=border,
                         upsample_factor=step)
    feature = torch.randn(3, 3, 3, 5, dtype=torch.float64)
    coarser = 3 * torch.randn(3, 5, 16 // step, 24 // step, dtype=torch.float64)
    coarser[0, 3] = -coarser[0, 1]  # one of the two always has a score above 0
    # Others that differ by constants (in a border of zeros: not at all) upsample as their sum does.
    coarser[0, ::2] = coarser[0, :1] / 6 - 5 + (torch.arange(3)[:, None, None] / 2
                                                if border == 'replicate' else 0)
    coarser[2] = torch.randn(5, 1, 1) + 0.01 * torch.randn_like(coarser[2])
    before, scores = coarser.clone(), coarser.numpy()
    p = references.softmax(scores)
    varies = p.max(axis=(2, 3)) - p.min(axis=(2, 3)) > 0.1
    assert varies.tolist() == [[False, True, False, True, False], [True] * 5, [False] * 5]
    detail = detail_of(level, feature) * varies[:, :, None, None]
    expected = references.pyramid(
        [scores, detail], windows=[None, 5], border=border, steps=[1, step])[1]
    actual = level(feature, coarser, 0.1)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(coarser, before)
    for image in range(3):
        here = slice(image, image + 1)
        alone = level(feature[here], coarser[here], 0.1)
        torch.testing.assert_close(alone, actual[here], rtol=1e-12, atol=1e-12)


# Of a dilated backbone, or too small, on either axis.
@pytest.mark.parametrize('size', [(4, 4), (3, 5), (1, 4), (3, 2)])
def test_a_coarser_map_of_another_stride_is_refused(size: tuple[int, int]) -> None:
    level = LRRLevel(in_channels=3, num_classes=2)
    coarser = torch.zeros(1, 2, *(4 * side for side in size))
    with pytest.raises(ValueError, match=r'strides.*dilations=\(1, 1, 1, 1\)'):
        level(torch.zeros(1, 3, 5, 7), coarser)
