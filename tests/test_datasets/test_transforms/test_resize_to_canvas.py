# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The test canvas: the authors' sizes, image in the middle, zeros around it in the network."""

import numpy as np
import pytest
import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS, TRANSFORMS
from torch import nn

from mmseg_lrr.datasets.transforms import ResizeToCanvas

from ... import references

MEAN = [123.675, 116.28, 103.53]


def transformed(image: np.ndarray, **options) -> dict:
    return ResizeToCanvas(**options)(dict(img=image, ori_shape=image.shape[:2]))


def preprocessed(results: dict) -> dict:
    packed = TRANSFORMS.build(
        dict(type='PackSegInputs', meta_keys=('padding_size', 'ori_shape')))(results)
    preprocessor = MODELS.build(dict(
        type='LRRDataPreProcessor', mean=MEAN, std=[58.395, 57.12, 57.375], bgr_to_rgb=True))
    return preprocessor({name: [value] for name, value in packed.items()})


@pytest.mark.parametrize('scale, canvas, size, padding', [
    (0.6, (224, 288), (216, 288), [0, 0, 4, 4]),
    (0.8, (288, 416), (288, 384), [16, 16, 0, 0]),
    (1.0, (384, 512), (384, 512), [0, 0, 0, 0]),
])
def test_the_authors_sizes(scale: float, canvas: tuple, size: tuple, padding: list) -> None:
    results = transformed(np.zeros((375, 500, 3), np.uint8), scale=scale)
    assert results['img'].shape == (*canvas, 3)
    assert results['img_shape'] == results['pad_shape'] == canvas
    assert results['padding_size'] == padding
    assert results['scale_factor'] == (size[1] / 500, size[0] / 375)
    left, right, top, bottom = padding
    assert size == (canvas[0] - top - bottom, canvas[1] - left - right)


def test_more_of_an_odd_rest_lies_above_and_to_the_left() -> None:
    # 64 of 64 rows, 205 (204.8) of 256 columns; and turned.
    assert transformed(np.zeros((75, 240, 3), np.uint8))['padding_size'] == [26, 25, 0, 0]
    assert transformed(np.zeros((240, 75, 3), np.uint8))['padding_size'] == [0, 0, 26, 25]


def test_image_is_resized_by_a_bicubic_loop_and_not_rounded() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 75, 3), np.uint8)
    results = transformed(image, scale=0.8)
    # 0.8 * 40 = 32 and 0.8 * 75 / 32 = 1.875 blocks; the factor is 64 / 75, so 34 rows do not fit:
    # it is 32 / 40, and 60 columns.
    assert results['img'].shape == (32, 64, 3) and results['padding_size'] == [2, 2, 0, 0]
    planes = references.resize_bicubic(image.transpose(2, 0, 1).astype(float), 32, 60)
    np.testing.assert_allclose(results['img'][:, 2:62], planes.transpose(1, 2, 0), atol=1e-3)
    assert not np.array_equal(results['img'], results['img'].round())
    assert not results['img'][:, :2].any() and not results['img'][:, 62:].any()


@pytest.mark.parametrize('shape', [(48, 80), (48, 80, 1), (48, 80, 4)])
def test_any_number_of_channels(shape: tuple) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    planes = [transformed(plane)['img'] for plane in np.moveaxis(image.reshape(48, 80, -1), 2, 0)]
    assert planes[0].shape == (64, 96, 1)
    np.testing.assert_array_equal(transformed(image)['img'], np.concatenate(planes, axis=2))


def test_a_grey_image_is_seen_in_colour() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (48, 80), np.uint8)
    seen = [preprocessed(transformed(image))['inputs']
            for image in (grey, np.stack([grey] * 3, axis=2))]
    assert torch.equal(*seen)


def test_network_sees_exact_zeros_which_the_toolbox_cuts_off() -> None:
    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    results = transformed(image, scale=0.6)
    batch = preprocessed(results)
    seen = batch['inputs']
    assert seen.shape == (1, 3, 224, 288)
    assert (seen[:, :, :4] == 0).all() and (seen[:, :, -4:] == 0).all()
    assert (seen[:, :, 4:-4] != 0).float().mean() > 0.99
    # The network gives 7 for the image: any of what lies around it would show.
    scores = torch.full_like(seen, 7.)
    scores[:, :, :4] = scores[:, :, -4:] = -100
    (sample, ) = _Parrot().postprocess_result(scores, batch['data_samples'])
    torch.testing.assert_close(
        sample.seg_logits.data, torch.full((3, 375, 500), 7.), rtol=0, atol=1e-4)


class _Parrot(EncoderDecoder):
    """All but the network is mmseg's."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.align_corners = False


@pytest.mark.parametrize('scale', [0, -0.5])
def test_a_scale_that_leaves_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=f'scale must be positive, got {scale}'):
        ResizeToCanvas(scale=scale)
