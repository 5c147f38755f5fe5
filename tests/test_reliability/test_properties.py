# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What has to hold whatever the weights, sizes and labels: tried on examples hypothesis makes up.

``pytest -m slow`` tries many more of each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_lrr.evaluation.metrics import LRRIoUMetric, TrimapIoUMetric
from mmseg_lrr.models.decode_heads import LRRHead
from mmseg_lrr.models.layers import BoundaryMask
from mmseg_lrr.models.post_processing import DenseCRF
from mmseg_lrr.models.post_processing.dense_crf import PRESETS

from ..small_segmentors import batch, build, lrr_config, random_image, tta_pipeline

FEW, MANY = 6, 60
EXAMPLES = [pytest.param(FEW, id='few'), pytest.param(MANY, marks=pytest.mark.slow, id='many')]

SEEDS = st.integers(0, 2**31 - 1)
NUM_LEVELS = st.integers(1, 4)
CLASSES = st.integers(2, 5)
MASKS = st.sampled_from([dict(type='BoundaryMask'), dict(type='BoundaryMask', window=5), None])
BORDERS = st.sampled_from(['zeros', 'replicate'])


def check(examples: int, holds: Callable[..., None], **strategies: st.SearchStrategy) -> None:
    """Try a property on so many examples, the same ones every time."""
    run = given(**strategies)(holds)
    settings(max_examples=examples, deadline=None, derandomize=True, database=None,
             suppress_health_check=list(HealthCheck))(run)()


def make_head(seed: int, num_levels: int = 4, num_classes: int = 3, **options: object) -> LRRHead:
    """A head of random coefficients and bases, in double precision."""
    torch.manual_seed(seed)
    head = MODELS.build(ConfigDict(
        type='LRRHead', in_channels=[2, 3, 2, 3][-num_levels:], num_classes=num_classes,
        num_bases=3, dilation_erosion=None, **options))
    head.set_bases(torch.randn(num_classes, 3, 32, 32))
    for level in head.levels.values():
        for parameter in level.coefficients.parameters():
            nn.init.normal_(parameter)
    return head.double().eval()


def make_features(head: LRRHead, seed: int, cells: tuple[int, int] = (2, 3), images: int = 2
                  ) -> list[Tensor]:
    """Maps of images of so many 32-pixel cells, fine to coarse."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, channels, *(32 // stride * side for side in cells),
                        generator=generator, dtype=torch.float64)
            for channels, stride in zip(head.in_channels, head.strides, strict=True)]


@torch.no_grad()
def levels_of(head: LRRHead, features: list[Tensor]) -> dict[str, Tensor]:
    return head.forward_levels(features)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    for level in one:
        torch.testing.assert_close(one[level], other[level], rtol=1e-9, atol=1e-9, msg=level)


@pytest.mark.parametrize('examples', EXAMPLES)
def test_permuting_the_classes_permutes_the_output(examples: int) -> None:
    def holds(seed: int, num_levels: int, num_classes: int, mask: dict | None, border: str,
              data: st.DataObject) -> None:
        order = data.draw(st.permutations(range(num_classes)))
        head = make_head(seed, num_levels, num_classes, boundary_mask=mask, upsample_border=border)
        other = copy.deepcopy(head)
        with torch.no_grad():
            for level in head.levels:
                for name in ('weight', 'bias'):
                    value = getattr(head.levels[level].coefficients, name)
                    grouped = value.view(num_classes, 3, *value.shape[1:])
                    getattr(other.levels[level].coefficients, name).copy_(
                        grouped[order].reshape(value.shape))
                other.levels[level].reconstruction.bases.copy_(
                    head.levels[level].reconstruction.bases[order])
        features = make_features(head, seed)
        expected = {level: scores[:, order] for level, scores in levels_of(head, features).items()}
        assert_same(levels_of(other, features), expected)

    check(examples, holds, seed=SEEDS, num_levels=NUM_LEVELS, num_classes=CLASSES, mask=MASKS,
          border=BORDERS, data=st.data())


@pytest.mark.parametrize('examples', EXAMPLES)
def test_a_shift_by_32_pixels_shifts_the_output(examples: int) -> None:
    def holds(seed: int, num_levels: int, mask: dict | None, border: str, down: int,
              right: int) -> None:
        head = make_head(seed, num_levels, boundary_mask=mask, upsample_border=border)
        side, margin = 11, 5  # cells; at the margin the zeros around the maps are seen
        whole = make_features(head, seed, (side + 1, side + 1), images=1)
        views = [
            [feature[..., 32 // stride * y:32 // stride * (y + side),
                     32 // stride * x:32 // stride * (x + side)]
             for feature, stride in zip(whole, head.strides, strict=True)]
            for y, x in ((0, 0), (down, right))]
        first, second = (levels_of(head, view) for view in views)
        for level in first:
            cell = 32 // head.level_strides[level]
            inner = slice(margin * cell, (side - margin + 1) * cell)
            torch.testing.assert_close(
                first[level][..., inner, inner],
                second[level][..., (margin - down) * cell:(side - margin + 1 - down) * cell,
                              (margin - right) * cell:(side - margin + 1 - right) * cell],
                rtol=1e-9, atol=1e-9)

    check(examples, holds, seed=SEEDS, num_levels=NUM_LEVELS, mask=MASKS, border=BORDERS,
          down=st.integers(0, 1), right=st.integers(0, 1))


@pytest.mark.parametrize('examples', EXAMPLES)
def test_a_flip_with_flipped_bases_flips_the_output(examples: int) -> None:
    def holds(seed: int, num_levels: int, mask: dict | None, border: str,
              axes: tuple[int, ...]) -> None:
        head = make_head(seed, num_levels, boundary_mask=mask, upsample_border=border)
        flipped = copy.deepcopy(head)
        with torch.no_grad():
            for level in head.levels:
                flipped.levels[level].coefficients.weight.copy_(
                    head.levels[level].coefficients.weight.flip(axes))
                flipped.levels[level].reconstruction.bases.copy_(
                    head.levels[level].reconstruction.bases.flip(axes))
        features = make_features(head, seed)
        expected = {level: scores.flip(axes) for level, scores in levels_of(head, features).items()}
        assert_same(levels_of(flipped, [feature.flip(axes) for feature in features]), expected)

    check(examples, holds, seed=SEEDS, num_levels=NUM_LEVELS, mask=MASKS, border=BORDERS,
          axes=st.sampled_from([(-1, ), (-2, ), (-2, -1)]))


@pytest.mark.parametrize('examples', EXAMPLES)
def test_a_level_without_coefficients_leaves_the_coarser_prediction(examples: int) -> None:
    def holds(seed: int, num_levels: int, mask: dict | None, border: str,
              data: st.DataObject) -> None:
        head = make_head(seed, num_levels, boundary_mask=mask, upsample_border=border)
        index = data.draw(st.integers(1, num_levels - 1))
        coarse, fine = list(head.levels)[index - 1:index + 1]
        for parameter in head.levels[fine].coefficients.parameters():
            nn.init.zeros_(parameter)
        scores = levels_of(head, make_features(head, seed))
        expected = scores[coarse]
        assert head.level_strides[coarse] == 2 * head.level_strides[fine]
        # Half-pixel bilinear by hand: 3/4 of the nearer cell, 1/4 of the farther.
        kind = 'constant' if border == 'zeros' else 'edge'
        padded = np.pad(expected.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode=kind)
        for axis in (2, 3):
            before, here, after = (
                np.take(padded, range(start, start + expected.shape[axis]), axis)
                for start in (0, 1, 2))
            padded = np.stack([.25 * before + .75 * here, .75 * here + .25 * after], axis + 1)
            padded = padded.reshape(*padded.shape[:axis], -1, *padded.shape[axis + 2:])
        torch.testing.assert_close(scores[fine], torch.from_numpy(padded), rtol=1e-9, atol=1e-9)

    check(examples, holds, seed=SEEDS, num_levels=st.integers(2, 4), mask=MASKS, border=BORDERS,
          data=st.data())


@pytest.mark.parametrize('examples', EXAMPLES)
def test_mask_of_a_sure_map_is_zero(examples: int) -> None:
    def holds(num_classes: int, height: int, width: int, window: int, data: st.DataObject) -> None:
        label = data.draw(st.integers(0, num_classes - 1))
        sure = data.draw(st.sampled_from([1e3, 50., 0.]))
        scores = torch.zeros(1, num_classes, height, width)
        scores[:, label] = sure
        assert not BoundaryMask(window=window)(scores).any()

    check(examples, holds, num_classes=CLASSES, height=st.integers(1, 20), width=st.integers(1, 20),
          window=st.sampled_from([3, 5, 9, 17]), data=st.data())


@pytest.mark.parametrize('examples', EXAMPLES)
def test_mask_is_in_the_unit_interval_and_at_most_the_range(examples: int) -> None:
    def holds(seed: int, scale: float, window: int) -> None:
        scores = scale * torch.randn(2, 3, 9, 14, generator=torch.Generator().manual_seed(seed))
        mask = BoundaryMask(window=window)(scores)
        probabilities = scores.softmax(1)
        spread = probabilities.amax((2, 3)) - probabilities.amin((2, 3))
        assert mask.min() >= 0
        assert (mask <= spread[..., None, None]).all()

    check(examples, holds, seed=SEEDS, scale=st.floats(0, 1e4), window=st.sampled_from([3, 9, 41]))


@pytest.mark.parametrize('examples', EXAMPLES)
def test_batch_order(examples: int) -> None:
    """Each image has its own prediction, and the losses do not know which comes first."""
    def holds(seed: int, num_levels: int, mask: dict | None, order: list[int]) -> None:
        head = make_head(seed, num_levels, boundary_mask=mask)
        features = make_features(head, seed, (1, 2), images=3)
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 3, (3, 1, 32, 64), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < .3] = 255
        samples = [SegDataSample(gt_sem_seg=PixelData(data=item)) for item in labels]
        shuffled = [feature[order] for feature in features]
        expected = {level: item[order] for level, item in levels_of(head, features).items()}
        assert_same(levels_of(head, shuffled), expected)
        for i in range(3):
            alone = levels_of(head, [feature[i:i + 1] for feature in shuffled])
            assert_same(alone, {level: item[i:i + 1] for level, item in expected.items()})
        losses = [head.loss(maps, [samples[i] for i in images], None)
                  for maps, images in ((features, range(3)), (shuffled, order))]
        for name in losses[0]:
            torch.testing.assert_close(*(loss[name] for loss in losses), rtol=1e-9, atol=1e-9)

    check(examples, holds, seed=SEEDS, num_levels=NUM_LEVELS, mask=MASKS,
          order=st.permutations(range(3)))


@pytest.mark.parametrize('examples', EXAMPLES)
@pytest.mark.parametrize('fusion', ['max', 'mean'])
def test_multi_scale_fusion_does_not_know_the_order(fusion: str, examples: int) -> None:
    models = [build(dict(type='LRRTTAModel', module=lrr_config(), fusion=fusion), seed)
              for seed in range(2)]

    def holds(which: int, seed: int, size: tuple[int, int], order: list[int]) -> None:
        pipeline = tta_pipeline(scales=(0.6, 1.0), flips=(0., 1.))
        data = batch(pipeline, random_image(*size, seed))
        shuffled = {name: [values[i] for i in order] for name, values in data.items()}
        one, other = (models[which].test_step(copy.deepcopy(item))[0].seg_logits.data.exp()
                      for item in (data, shuffled))
        if fusion == 'max':
            assert torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)

    check(examples, holds, which=st.integers(0, 1), seed=SEEDS,
          size=st.tuples(st.integers(20, 70), st.integers(20, 70)), order=st.permutations(range(4)))


@pytest.mark.parametrize('examples', EXAMPLES)
def test_crf_without_weights_is_softmax(examples: int) -> None:
    def holds(seed: int, num_classes: int, preset: str, size: tuple[int, int], none: str) -> None:
        weights = dict(iterations=0) if none == 'iterations' else dict(
            pos_weight=0, bilateral_weight=0)
        generator = torch.Generator().manual_seed(seed)
        scores = 3 * torch.randn(num_classes, *size, generator=generator)
        expected = np.exp(scores.double().numpy())
        expected /= expected.sum(axis=0)
        result = DenseCRF(preset=preset, **weights)(random_image(*size, seed), scores.softmax(0))
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-6)

    check(examples, holds, seed=SEEDS, num_classes=CLASSES, preset=st.sampled_from(list(PRESETS)),
          size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
          none=st.sampled_from(['iterations', 'weights']))


@pytest.mark.parametrize('examples', EXAMPLES)
def test_crf_does_not_know_the_classes_order(examples: int) -> None:
    def holds(seed: int, order: list[int]) -> None:
        image = random_image(12, 17, seed)
        scores = torch.randn(4, 12, 17, generator=torch.Generator().manual_seed(seed))
        crf = DenseCRF(iterations=2)
        torch.testing.assert_close(
            crf(image, scores.softmax(0)[order]), crf(image, scores.softmax(0))[order],
            rtol=0, atol=1e-5)

    check(examples, holds, seed=SEEDS, order=st.permutations(range(4)))


@pytest.mark.parametrize('examples', EXAMPLES)
@pytest.mark.parametrize('absent', ['skip', 'zero'])
def test_trimap_of_full_width_is_the_plain_score(absent: str, examples: int) -> None:
    """Of images that have a boundary: one without has an empty band."""
    def holds(seed: int, num_classes: int, sizes: list[tuple[int, int]], void: float) -> None:
        random = np.random.default_rng(seed)
        metrics = (LRRIoUMetric(absent_classes=absent),
                   TrimapIoUMetric(widths=[1000], absent_classes=absent))
        for metric in metrics:
            metric.dataset_meta = dict(classes=[str(i) for i in range(num_classes)])
        for size in sizes:
            labels = random.integers(0, num_classes, size)
            labels[random.random(size) < void] = 255
            labels[0, :2] = 0, 1  # a boundary
            sample = SegDataSample(
                gt_sem_seg=PixelData(data=torch.from_numpy(labels)[None]),
                pred_sem_seg=PixelData(
                    data=torch.from_numpy(random.integers(0, num_classes, size))[None]))
            for metric in metrics:
                metric.process(None, [sample.to_dict()])
        plain, band = (metric.compute_metrics(metric.results) for metric in metrics)
        assert band['trimap_mIoU@1000'] == plain['mIoU']

    check(examples, holds, seed=SEEDS, num_classes=CLASSES, void=st.sampled_from([0., .2, .9]),
          sizes=st.lists(st.tuples(st.integers(2, 12), st.integers(2, 12)), min_size=1, max_size=3))
