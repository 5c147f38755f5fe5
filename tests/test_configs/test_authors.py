# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Every row of the poster on VGG-16 in the authors' way, by one switch."""

import re
from pathlib import Path

import pytest
import torch
from mmseg.registry import METRICS, MODELS
from test_configs.small_world import NAMES, cut_down, load

ROWS = [name for name in NAMES if re.search('_vgg16_(coco-)?voc(-1scale)?$', name)]


def flat(part: dict, prefix: str = '') -> dict:
    """Values of a config by their dotted names."""
    found = {}
    for key, value in part.items():
        found |= flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {
            prefix + key: value}
    return found


def test_the_switch_is_for_every_row() -> None:
    assert len(ROWS) == 19
    with pytest.raises(ValueError, match='ROW must name .* got lrr4x_r101_voc'):
        load('authors/lrr4x_r101_voc')


@pytest.mark.parametrize('row', ROWS)
def test_what_is_switched_and_nothing_else(row: str, tmp_path: Path) -> None:
    ours, theirs = load(row), load(f'authors/{row}')
    images, scaled = (cfg.train_dataloader.pop('dataset') for cfg in (ours, theirs))
    assert scaled == dict(type='OneScalePerBatch', datasets=[images])
    expected = {
        'row': row,
        'work_dir': f'work_dirs/authors/{row}',
        'model.data_preprocessor.mean': [116.54, 111.74, 103.58],
        'model.data_preprocessor.std': [1, 1, 1],
        'model.data_preprocessor.size': None,
        'model.data_preprocessor.size_divisor': 32,
        'val_evaluator.absent_classes': 'zero',
        'test_evaluator.absent_classes': 'zero',
    }
    if row.startswith('lrr'):
        expected['model.decode_head.loss_dilation_erosion.footprint'] = 'octagon'
        expected['custom_hooks'] = [
            hook for hook in ours.custom_hooks if hook.type != 'CoefficientRatesHook']
    if ours.load_from:
        first = Path(ours.load_from)
        work_dir = load(f'authors/{first.parent.name}').work_dir
        expected['load_from'] = f'{work_dir}/{first.name}'
    else:
        expected['model.backbone.init_cfg.checkpoint'] = (
            'checkpoints/imagenet_vgg_verydeep_16.pth')
    if re.match('lrr(16|8)x', row):
        expected['optim_wrapper.optimizer.lr'] = 1e-3
    # Their rates: test_optimiser.py.
    rates = 'optim_wrapper.paramwise_cfg.custom_keys.'
    before = flat(ours)
    assert {key: value for key, value in flat(theirs).items()
            if (key not in before or value != before[key]) and not key.startswith(rates)
            } == expected

    assert METRICS.build(theirs.test_evaluator).nan_to_num == 0
    with torch.device('meta'):
        model = MODELS.build(cut_down(load(f'authors/{row}'), tmp_path, narrow=True).model)
    if theirs.model.decode_head.get('dilation_erosion'):
        assert model.decode_head.loss_dilation_erosion.footprint == 'octagon'
