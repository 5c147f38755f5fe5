# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A checkpoint of another network is refused, and everything that mmengine accepts is not."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.apis.testing import configure_test, run_test

from ..small_segmentors import build, lrr_config


@pytest.mark.parametrize('change', [
    lambda weights: dict(state_dict=weights),
    lambda weights: weights,
    lambda weights: {f'module.{name}': value for name, value in weights.items()},
    lambda weights: {**weights, 'auxiliary_head.conv.weight': torch.zeros(1)},
    # What only training reads; old releases of torch did not count batches.
    lambda weights: {name: value for name, value in weights.items() if not any(
        part in name for part in ('.dilation.', '.erosion.', 'num_batches_tracked'))},
])
def test_what_fits_is_loaded(tmp_path: Path, change) -> None:
    branch = dict(dilation_erosion=dict(type='DilationErosionBranch'))
    model, other = (build(lrr_config(head=branch), seed) for seed in (0, 1))
    torch.save(change(other.state_dict()), tmp_path / 'weights.pth')
    check_checkpoint(model, tmp_path / 'weights.pth')
    for name, weight in other.state_dict().items():
        if '.dilation.' not in name and '.erosion.' not in name:
            assert torch.equal(model.state_dict()[name], weight), name


@pytest.mark.parametrize('part, missing', [
    ('backbone.conv1.weight', True), ('backbone.bn1.running_mean', False),
    ('decode_head.*bases', True)])
def test_what_does_not_fit_is_named(tmp_path: Path, part: str, missing: bool) -> None:
    model = build(lrr_config())
    weights = copy.deepcopy(model.state_dict())
    begin, _, end = part.partition('*')
    for name in list(weights):
        if name.startswith(begin) and name.endswith(end):
            value = weights.pop(name)
            if not missing:
                weights[name] = torch.cat([value, value])
    torch.save(weights, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=rf'weights\.pth is not one of .*{begin}.*{end}'):
        check_checkpoint(model, tmp_path / 'weights.pth')


def test_a_test_looks(project: Path, tmp_path: Path) -> None:
    """Also where the segmentor is inside a multi-scale model."""
    cfg = Config.fromfile(project / 'config.py')
    torch.save(build(lrr_config(num_classes=4)).state_dict(), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth is not one of the network'):
        run_test(configure_test(cfg, tta=True), str(tmp_path / 'other.pth'))
