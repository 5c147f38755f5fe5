# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Stage 2 starts from stage 1 with new levels that contribute exactly nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint, save_checkpoint
from mmseg.registry import MODELS
from references import upsample2x_zeros
from test_configs.small_world import NAMES, cut_down, load

#: Configs of a second stage, and those of the stage before.
STAGES = {name: Path(load(name).load_from).parent.name for name in NAMES
          if 'refine' not in name and load(name).load_from}
#: One of each kind; the others take long.
QUICK = ['lrr4x_vgg16_voc', 'lrr4x_r18_camvid_stage2']


@pytest.mark.parametrize('name', [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in STAGES if name.startswith('lrr')])
def test_new_levels_contribute_nothing(name: str, tmp_path: Path) -> None:
    first, second = (MODELS.build(cut_down(load(stage), tmp_path, narrow=True).model).eval()
                     for stage in (STAGES[name], name))
    head = first.decode_head
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    head.set_bases(torch.randn(head.num_classes, head.num_bases, 32, 32))
    path = tmp_path / 'stage_1.pth'
    save_checkpoint(dict(meta={}, state_dict=first.state_dict()), str(path))
    load_checkpoint(second, str(path), map_location='cpu', logger='silent')
    state = second.state_dict()
    assert all(torch.equal(state[key], value) for key, value in first.state_dict().items())
    image = torch.randn(1, 3, 75, 90)
    with torch.no_grad():
        start = first.decode_head.forward_levels(first.extract_feat(image))['32x']
        levels = second.decode_head.forward_levels(second.extract_feat(image))
    assert torch.equal(levels.pop('32x'), start) and start.std() > 0
    assert len(levels) == len(second.decode_head.in_channels) - 1
    slow = start.double().numpy()
    for scores in levels.values():
        height, width = scores.shape[2:]
        slow = upsample2x_zeros(slow)[:, :, :height, :width]
        np.testing.assert_allclose(scores, slow, rtol=1e-4, atol=1e-4 * np.abs(slow).max())
    # All levels have stage 1's basis functions.
    bases = first.decode_head.levels['32x'].reconstruction.bases
    assert second.decode_head.bases_loaded
    assert all(torch.equal(level.reconstruction.bases, bases)
               for level in second.decode_head.levels.values())


def test_stage_1_is_there_and_fits() -> None:
    for name, before in STAGES.items():
        cfg, first = load(name), load(before)
        last = first.train_cfg.get('max_epochs')
        expected = f'epoch_{last}.pth' if last else f'iter_{first.train_cfg.max_iters}.pth'
        assert Path(cfg.load_from).name == expected, name
        assert cfg.model.backbone.get('init_cfg') is None
        for key in ('mean', 'std'):
            assert cfg.model.data_preprocessor[key] == first.model.data_preprocessor[key], name
        images = first.train_dataloader.dataset
        if 'r101_coco' in name:  # ends with VOC alone
            images = images.datasets[0]
        assert cfg.train_dataloader.dataset == images, name
        assert cfg.val_dataloader.dataset == first.val_dataloader.dataset, name
        head, coarse = cfg.model.decode_head, first.model.decode_head
        assert head.num_classes == coarse.num_classes
        assert head.get('dilation_erosion') == coarse.get('dilation_erosion'), name
        assert head.in_channels[-len(coarse.in_channels):] == coarse.in_channels
