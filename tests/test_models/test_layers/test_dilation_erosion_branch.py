# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A DE branch by itself, against loops."""

import numpy as np
import torch
from mmseg.registry import MODELS

from mmseg_lrr.models.layers import LRRLevel

from ... import references


def test_finer_levels_build_on_coarser_ones() -> None:
    channels = {'32x': 5, '16x': 4, '8x': 3}
    sizes = {'32x': (2, 3), '16x': (3, 5), '8x': (5, 9)}
    branch = MODELS.build(dict(
        type='DilationErosionBranch', in_channels=channels, num_classes=2, num_bases=3,
        kernel_size=3)).double()
    assert branch.bias['32x'].tolist() == branch.bias['8x'].tolist() == [1, -1]
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    levels = {
        level: LRRLevel(in_channels=channels[level], num_classes=2, num_bases=3,
                        upsample_border='replicate').double() for level in channels
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
    expected = references.pyramid(details, windows=[None] * 3, border='replicate')
    for level, wanted in zip(channels, expected, strict=True):
        np.testing.assert_allclose(out[level].numpy(), wanted, rtol=1e-10, atol=1e-10)
