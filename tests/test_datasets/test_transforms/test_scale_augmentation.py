# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
from collections import Counter

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_lrr.datasets.transforms import RatioAugmentation, ScaleAugmentation


def sample(height: int, width: int) -> dict:
    image = np.zeros((height, width, 3), np.uint8)
    labels = np.full((height, width), 3, np.uint8)
    return dict(img=image, img_shape=(height, width), gt_seg_map=labels,
                seg_fields=['gt_seg_map'])


def inside(labels: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row and column that are not padding, counted from both ends."""
    rows, columns = (np.flatnonzero((labels != 255).any(axis=axis)) for axis in (1, 0))
    side = len(labels) - 1
    return rows[0], side - rows[-1], columns[0], side - columns[-1]


# s, side of the square, padding above, below, left, right of a 375x500 image.
CASES = [
    (-3, 288, (36, 36, 0, 0)),
    (-1, 352, (44, 44, 0, 0)),
    (0, 384, (48, 48, 0, 0)),
    (4, 384, (0, 0, 0, 0)),  # 384x512: columns are cropped
    (1, 384, (36, 36, 0, 0)),  # 312x416
    (10, 384, (0, 0, 0, 0)),
]


@pytest.mark.parametrize('step, side, padding', CASES)
def test_square_of_each_step(step: int, side: int, padding: tuple) -> None:
    transform = TRANSFORMS.build(dict(type='ScaleAugmentation', steps=(step, step)))
    results = transform(sample(375, 500))
    assert results['img'].shape == (side, side, 3)
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == (side, side)
    assert results['gt_seg_map'].shape == (side, side)
    assert results['gt_seg_map'].dtype == np.uint8
    assert inside(results['gt_seg_map']) == padding
    # 128 before the mean is subtracted, exactly where the label is 255.
    np.testing.assert_array_equal(
        results['img'], np.where(results['gt_seg_map'] == 255, 128, 0)[..., None].repeat(3, 2))


def test_steps_are_uniform_with_both_ends() -> None:
    transform = ScaleAugmentation()
    drawn = Counter(transform.draw() for _ in range(14000))
    assert sorted(drawn) == list(range(-3, 11))
    # Six standard deviations of a count of 14000 draws at 1/14.
    assert all(abs(count - 1000) < 183 for count in drawn.values())


def test_ratios_are_of_the_images_own_size() -> None:
    transform = RatioAugmentation()
    drawn = [transform.draw() for _ in range(2000)]
    assert 0.5 <= min(drawn) < 0.51 and 1.49 < max(drawn) <= 1.5
    assert transform.long_side(0.75, (375, 500)) == 375
    assert transform.long_side(1.5, (500, 333)) == 750
    results = RatioAugmentation(ratio_range=(0.5, 0.5))(sample(375, 500))
    assert results['img'].shape == (250, 250, 3)
    assert inside(results['gt_seg_map']) == (31, 31, 0, 0)


def test_every_image_draws_its_own_scale() -> None:
    transform = ScaleAugmentation()
    factors = {transform(sample(30, 40))['scale_factor'] for _ in range(60)}
    assert len(factors) == 14


def test_grey_images_without_labels_pass() -> None:
    results = ScaleAugmentation(steps=(0, 0))(dict(img=np.zeros((30, 40), np.uint8)))
    assert results['img'].shape == (384, 384, 1)
