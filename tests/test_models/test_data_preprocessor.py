# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def build(**options):
    return MODELS.build(dict(type='LRRDataPreProcessor', mean=MEAN, std=STD, bgr_to_rgb=True,
                             pad_val=0, seg_pad_val=255, **options))


def batch(*sizes: tuple[int, int]) -> dict:
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for height, width in sizes:
        inputs.append(torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8)))
        sample = SegDataSample(metainfo=dict(img_shape=(height, width)))
        labels = torch.from_numpy(rng.integers(0, 21, (1, height, width)))
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def test_small_squares_are_padded_with_the_authors_grey() -> None:
    data = batch((32, 32), (24, 24))
    expected = [image.float().numpy()[::-1] for image in data['inputs']]  # RGB
    labels = data['data_samples'][1].gt_sem_seg.data.clone()
    result = build(size=(32, 32), raw_pad_value=128)(data, True)
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    padded = np.full((3, 32, 32), 128, np.float32)
    padded[:, :24, :24] = expected[1]
    for i, image in enumerate((expected[0], padded)):
        np.testing.assert_allclose(
            result['inputs'][i], (image - mean) / std, rtol=1e-5, atol=1e-5)
    found = result['data_samples'][1].gt_sem_seg.data
    assert torch.equal(found[:, :24, :24], labels)
    assert (found[:, 24:] == 255).all() and (found[:, :, 24:] == 255).all()


@pytest.mark.parametrize('test_cfg', [None, dict(size=(40, 44))])
def test_around_a_test_image_are_zeros(test_cfg: dict | None) -> None:
    """The same as padding with the mean in raw colours; mmseg's own padding lies outside."""
    data, by_hand = batch((32, 40)), batch((32, 40))
    data['data_samples'][0].set_metainfo(dict(padding_size=[3, 2, 5, 0]))
    raw = by_hand['inputs'][0].float()
    colour = torch.tensor(MEAN[::-1])[:, None, None]  # BGR
    raw[:, :5] = raw[:, :, :3] = raw[:, :, 38:] = colour
    by_hand['inputs'] = [raw]
    options = dict(mean=MEAN, std=STD, bgr_to_rgb=True, pad_val=9, test_cfg=test_cfg)
    found, expected = (MODELS.build(dict(type=kind, **options))(one, False)['inputs']
                       for kind, one in (('LRRDataPreProcessor', data),
                                         ('SegDataPreProcessor', by_hand)))
    assert torch.equal(found, expected)
    assert not found[:, :, :5, :40].any() and found[:, :, 5:, 3:38].any()


def test_testing_is_left_alone() -> None:
    preprocessor = build(size=(32, 32), raw_pad_value=128)
    result = preprocessor(batch((20, 36)), False)
    assert result['inputs'].shape == (1, 3, 20, 36)
