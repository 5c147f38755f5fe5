# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A DE branch by itself: its start, its pyramid, its levels."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.layers import LRRLevel

from ... import references


def test_starts_at_an_image_that_is_background_only() -> None:
    branch = MODELS.build(dict(
        type='DilationErosionBranch', in_channels={'32x': 5}, num_classes=4, num_bases=3,
        kernel_size=5))
    out = branch({'32x': torch.randn(2, 5, 3, 4)},
                 {'32x': LRRLevel(in_channels=5, num_classes=4, num_bases=3)})
    assert list(out) == ['32x']
    assert out['32x'].shape == (2, 4, 12, 16)
    assert (out['32x'][:, 0] == 1).all() and (out['32x'][:, 1:] == -1).all()


@pytest.mark.parametrize('border', ['zeros', 'replicate'])
def test_finer_levels_build_on_coarser_ones(border: str) -> None:
    channels = {'32x': 5, '16x': 4, '8x': 3}
    sizes = {'32x': (2, 3), '16x': (3, 5), '8x': (5, 9)}
    branch = MODELS.build(dict(
        type='DilationErosionBranch', in_channels=channels, num_classes=2, num_bases=3,
        kernel_size=3)).double()
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    levels = {
        level: LRRLevel(in_channels=channels[level], num_classes=2, num_bases=3,
                        upsample_border=border).double() for level in channels
    }
    for level in levels.values():
        torch.nn.init.normal_(level.reconstruction.bases)
    features = {
        level: torch.randn(2, channels[level], *sizes[level], dtype=torch.float64)
        for level in channels
    }
    with torch.no_grad():
        out = branch(features, levels)
    details = []
    for level in channels:
        conv = branch.coefficients[level]
        assert conv.weight.shape == (6, channels[level], 3, 3)
        coefficients = references.convolve(
            features[level].numpy(), conv.weight.detach().numpy(), conv.bias.detach().numpy())
        details.append(
            references.paint_blocks(coefficients, levels[level].reconstruction.bases.numpy())
            + branch.bias[level].detach().numpy()[:, None, None])
    expected = references.pyramid(details, windows=[None] * 3, border=border)
    for level, wanted in zip(channels, expected, strict=True):
        np.testing.assert_allclose(out[level].numpy(), wanted, rtol=1e-10, atol=1e-10)
