# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image


@pytest.mark.parametrize('num_workers', [0, 2])
def test_every_batch_draws_one_scale_for_all_its_images(tmp_path: Path, num_workers: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        for kind, ending in (('images', 'jpg'), ('labels', 'png')):
            path = tmp_path / f'{number % 2}/{kind}/{number}.{ending}'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 2, (20 + number, 60), np.uint8)).save(path)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                dict(type='ScaleAugmentation', canvas=48, divisor=8, steps=(-2, 3)),
                dict(type='PackSegInputs', meta_keys=('ori_shape', 'scale_factor'))]
    folders = [dict(type='BaseSegDataset', data_root=str(tmp_path / name), pipeline=pipeline,
                    data_prefix=dict(img_path='images', seg_map_path='labels')) for name in '01']
    loader = Runner.build_dataloader(dict(
        dataset=dict(type='OneScalePerBatch', datasets=[
            dict(type='ConcatDataset', datasets=folders)]),
        sampler=dict(type='DefaultSampler', shuffle=True), batch_size=4, num_workers=num_workers,
        persistent_workers=num_workers > 0), seed=0)
    drawn = [{round(max(sample.ori_shape) * sample.scale_factor[0])
              for sample in batch['data_samples']} for _ in range(4) for batch in loader]
    assert len(drawn) == 60 and {len(sides) for sides in drawn} == {1}
    assert set.union(*drawn) == {32, 40, 48, 56, 64, 72}
