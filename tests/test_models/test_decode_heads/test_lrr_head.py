# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head's numbers: pyramid, losses and gradients against loops (docs/method.md)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_lrr.models.decode_heads import LRRHead

from ... import references

STRIDES = (4, 8, 16, 32)
# An image that no stride divides: every map is rounded up.
HEIGHT, WIDTH = 33, 45


def feature_maps(channels: list[int], *, size: tuple[int, int] = (HEIGHT, WIDTH),
                 images: int = 2) -> list[Tensor]:
    """Random maps, fine to coarse, at the coarsest strides, sizes rounded up."""
    return [
        torch.randn(images, width, -(-size[0] // stride), -(-size[1] // stride),
                    dtype=torch.float64)
        for width, stride in zip(channels, STRIDES[-len(channels):], strict=True)
    ]


def random_head(**options) -> LRRHead:
    """A head in float64 whose every parameter and basis function is random."""
    options = {'in_channels': [3, 4, 5, 6], 'num_classes': 3, **options}
    # Whatever scope the tests before have left.
    init_default_scope('mmseg')
    head = MODELS.build({'type': 'LRRHead', **options}).double()
    for name, tensor in head.state_dict().items():
        if name.endswith('bases'):
            tensor.copy_(torch.randn(tensor.shape))
        elif tensor.is_floating_point():
            tensor.copy_(.05 * torch.randn(tensor.shape))
    return head


def detail(head: LRRHead, prefix: str, level: str, feature: Tensor) -> np.ndarray:
    """Coefficients and reconstruction, from the head's stored arrays alone."""
    state = {name: tensor.double().numpy() for name, tensor in head.state_dict().items()}
    layer = f'{prefix}coefficients.{level}' if prefix else f'levels.{level}.coefficients'
    coefficients = references.convolve(
        feature.numpy(), state[f'{layer}.weight'], state[f'{layer}.bias'])
    return references.paint_blocks(coefficients, state[f'levels.{level}.reconstruction.bases'])


def expected_levels(head: LRRHead, features: list[Tensor], windows: list[int | None], border: str,
                    steps: list[int] | None = None) -> dict[str, np.ndarray]:
    """The whole pyramid; lists are coarse to fine, the coarsest one's entries without meaning."""
    levels = [f'{stride}x' for stride in STRIDES[-len(features):]][::-1]
    details = [
        detail(head, '', level, feature)
        for level, feature in zip(levels, features[::-1], strict=True)
    ]
    predictions = references.pyramid(details, windows=windows, border=border, steps=steps)
    return dict(zip(levels, predictions, strict=True))


def assert_levels(actual: dict[str, Tensor], expected: dict[str, np.ndarray],
                  tolerance: float) -> None:
    """Largest difference relative to the level's largest score."""
    assert list(actual) == list(expected)
    for level, scores in actual.items():
        assert scores.shape == expected[level].shape
        error = np.abs(scores.detach().double().numpy() - expected[level]).max()
        assert error <= tolerance * np.abs(expected[level]).max(), level


def samples_of(labels: Tensor) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=image[None])) for image in labels]


def label_maps(num_classes: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """Four images: well labelled, nearly all ignored, all ignored, of one class."""
    labels = torch.zeros(4, *size, dtype=torch.int64)
    for c in range(1, num_classes):
        labels[0, 5 * c:5 * c + 11, 6 * c:6 * c + 13] = c
        labels[1, 8:, 3 * c:3 * c + 3] = c
    labels[0, 20:24] = 255
    labels[1, :, 12:] = 255
    labels[2] = 255
    labels[3] = num_classes - 1
    return labels


# ------------------------------------------------------------------------------- the pyramid

CASES = {
    'defaults': (dict(), [9] * 4, 'zeros'),
    'unmasked': (dict(boundary_mask=None), [None] * 4, 'zeros'),
    'replicated border': (dict(upsample_border='replicate'), [9] * 4, 'replicate'),
    'one window': (dict(boundary_mask=dict(type='BoundaryMask', window=17)), [17] * 4, 'zeros'),
    'windows': (dict(boundary_mask=dict(type='BoundaryMask', window=[5, 7, 11, 3])),
                [3, 11, 7, 5], 'zeros'),
    'kernel 3': (dict(kernel_size=3), [9] * 4, 'zeros'),
    'kernel 1': (dict(kernel_size=1), [9] * 4, 'zeros'),
    'three bases': (dict(num_bases=3), [9] * 4, 'zeros'),
    'one basis': (dict(num_bases=1), [9] * 4, 'zeros'),
    'learned bases': (dict(learned_bases=True), [9] * 4, 'zeros'),
    'u = 2': (dict(reconstruction_factor=2), [5] * 4, 'zeros'),
    'u = 8': (dict(reconstruction_factor=8, num_bases=4), [17, 17, 17, 9], 'zeros',
              [2, 2, 2, 1]),
    'u a level': (dict(reconstruction_factor=[4, 4, 8, 8], num_bases=4), [17, 17, 9, 9], 'zeros',
                  [2, 2, 1, 2]),
    'u = 8, unmasked, replicated': (
        dict(reconstruction_factor=8, num_bases=2, boundary_mask=None,
             upsample_border='replicate'), [None] * 4, 'replicate', [2, 2, 2, 1]),
    'three levels': (dict(in_channels=[3, 4, 5]), [9] * 3, 'zeros'),
    'two levels': (dict(in_channels=[3, 4]), [9] * 2, 'zeros'),
    'one level': (dict(in_channels=[3]), [9], 'zeros'),
    'one level, by number': (dict(in_channels=3, in_index=0), [9], 'zeros'),
    'two classes': (dict(num_classes=2), [9] * 4, 'zeros'),
}


@pytest.mark.parametrize('case', CASES)
def test_pyramid(case: str) -> None:
    options, *of_pyramid = CASES[case]
    head = random_head(**options)
    features = feature_maps(head.in_channels)
    expected = expected_levels(head, features, *of_pyramid)
    with torch.no_grad():
        assert_levels(head.forward_levels(features), expected, 1e-12)
        finest = head(features)
        assert torch.equal(finest, list(head.forward_levels(features).values())[-1])
        single = head.float().forward_levels([feature.float() for feature in features])
    assert_levels(single, expected, 1e-5)
    assert all(scores.dtype == torch.float32 for scores in single.values())


def test_pyramid_of_maps_that_fit() -> None:
    """Sizes that every stride divides: nothing is cut, resolutions are 1/8, 1/4, 1/2 and 1/1."""
    head = random_head()
    features = feature_maps(head.in_channels, size=(32, 64))
    actual = head.forward_levels(features)
    assert [tuple(scores.shape[2:]) for scores in actual.values()] == [
        (4, 8), (8, 16), (16, 32), (32, 64)]
    assert_levels(actual, expected_levels(head, features, [9] * 4, 'zeros'), 1e-12)


def test_resolutions_at_factor_8() -> None:
    head = random_head(reconstruction_factor=8, num_bases=2)
    actual = head.forward_levels(feature_maps(head.in_channels, size=(32, 64)))
    assert [tuple(scores.shape[2:]) for scores in actual.values()] == [
        (8, 16), (16, 32), (32, 64), (32, 64)]
    assert [tuple(head.state_dict()[f'levels.{level}.reconstruction.bases'].shape[2:])
            for level in actual] == [(16, 16), (16, 16), (16, 16), (8, 8)]


def test_in_index_picks_maps() -> None:
    features = feature_maps([3, 4, 5, 6])
    head = random_head(in_channels=[4, 6], in_index=[1, 3], strides=(16, 32))
    features[1] = torch.randn(2, 4, 3, 3, dtype=torch.float64)  # what stride 16 gives
    picked = [features[1], features[3]]
    assert_levels(head.forward_levels(features), expected_levels(head, picked, [9] * 2, 'zeros'),
                  1e-12)
    negative = random_head(in_channels=[6], in_index=[-1])
    assert_levels(negative.forward_levels(features),
                  expected_levels(negative, [features[3]], [9], 'zeros'), 1e-12)


def test_zero_coefficients_give_uniform_scores() -> None:
    head = MODELS.build(dict(type='LRRHead', in_channels=[3, 4, 5, 6], num_classes=3))
    head.init_weights()
    features = [feature.float() for feature in feature_maps([3, 4, 5, 6])]
    for scores in head.forward_levels(features).values():
        assert torch.equal(scores, torch.zeros_like(scores))


@pytest.mark.parametrize('mask', [None, dict(type='BoundaryMask')])
def test_a_new_level_changes_nothing(mask: dict | None) -> None:
    """Bit for bit the coarser network's scores, upsampled."""
    coarse = random_head(in_channels=[4, 5, 6], boundary_mask=mask).float()
    full = MODELS.build(dict(
        type='LRRHead', in_channels=[3, 4, 5, 6], num_classes=3, boundary_mask=mask))
    assert full.load_state_dict(coarse.state_dict(), strict=False).unexpected_keys == []
    features = [feature.float() for feature in feature_maps([3, 4, 5, 6])]
    with torch.no_grad():
        before, after = coarse.forward_levels(features[1:]), full.forward_levels(features)
    for level in before:
        assert torch.equal(before[level], after[level])
    upsampled = full.levels['4x'].upsample(before['8x'], features[0].shape[2:])
    assert torch.equal(after['4x'], upsampled)
    assert after['4x'].abs().min() > 0


def test_dilation_erosion_serves_training_alone() -> None:
    head = random_head()
    features = feature_maps(head.in_channels)
    with torch.no_grad():
        before = head.forward_levels(features)
        for branch in (head.dilation, head.erosion):
            for parameter in branch.parameters():
                parameter.fill_(float('nan'))
        for level, scores in head.forward_levels(features).items():
            assert torch.equal(scores, before[level])


# ------------------------------------------------------------------------------- losses


def expected_losses(head: LRRHead, features: list[Tensor], labels: np.ndarray, *,
                    factors: list[int], radii: list[int], footprint=references.disk,
                    class_weight: np.ndarray | None = None) -> dict[str, float]:
    """docs/method.md, "Losses"; ``factors``, of the labels, and ``radii`` coarse to fine."""
    losses = {}
    levels = expected_levels(head, features, [9] * len(features), 'zeros')
    for (level, scores), factor in zip(levels.items(), factors, strict=True):
        kept = references.subsample(labels, factor)
        scores = references.crop(scores, *kept.shape[1:])
        losses[f'loss_ce_{level}'] = references.cross_entropy(scores, kept, class_weight)
    right = scores.argmax(axis=1)[kept != 255] == kept[kept != 255]
    losses['acc_seg'] = 100 * right.mean()
    for kind, name in enumerate(('dilation', 'erosion')):
        details = []
        for level, feature in zip(list(levels)[:len(radii)], features[::-1], strict=False):
            bias = head.state_dict()[f'{name}.bias.{level}'].double().numpy()
            details.append(detail(head, f'{name}.', level, feature) + bias[:, None, None])
        maps = references.pyramid(details, windows=[None] * len(radii), border='zeros')
        for level, scores, factor, radius in zip(levels, maps, factors, radii, strict=False):
            targets = references.dilation_erosion(labels, scores.shape[1], footprint(radius))[kind]
            targets = np.stack([references.subsample(image, factor) for image in targets])
            scores = references.crop(scores, *targets.shape[2:])
            losses[f'loss_{name}_{level}'] = references.logistic(scores, targets)
    return losses


LOSS_CASES = {
    'defaults': (dict(), [8, 4, 2, 1], [32]),
    'one level': (dict(in_channels=[6]), [8], [32]),
    'weighed': (dict(level_loss_weights=[1, .4, .2, .3]), [8, 4, 2, 1], [32]),
    'two DE levels': (
        dict(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '16x']),
             loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[7, 3])),
        [8, 4, 2, 1], [7, 3]),
    'four DE levels': (
        dict(dilation_erosion=dict(type='DilationErosionBranch',
                                   levels=['4x', '8x', '16x', '32x']),
             loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[8, 4, 2, 1])),
        [8, 4, 2, 1], [8, 4, 2, 1]),
    'no DE': (dict(dilation_erosion=None), [8, 4, 2, 1], []),
}


@pytest.mark.parametrize('case', LOSS_CASES)
def test_losses(case: str) -> None:
    options, factors, radii = LOSS_CASES[case]
    head = random_head(**options)
    features = feature_maps(head.in_channels, images=4)
    labels = label_maps(3)
    expected = expected_losses(head, features, labels.numpy(), factors=factors, radii=radii)
    for name, weight in zip(expected, options.get('level_loss_weights', [])[::-1], strict=False):
        expected[name] *= weight  # the first four are those of 32x to 4x
    with torch.no_grad():
        actual = head.loss(features, samples_of(labels), None)
        single = head.float().loss([feature.float() for feature in features], samples_of(labels),
                                   None)
    assert actual.keys() == single.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].item() == pytest.approx(value, rel=1e-6 if name == 'acc_seg' else 1e-11)
        assert single[name].item() == pytest.approx(value, rel=1e-5), name


def test_losses_with_class_weights_and_an_octagon() -> None:
    weights = [.3, 1., 2.5]
    head = random_head(
        loss_decode=dict(type='LevelCrossEntropyLoss', class_weight=weights),
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[6], footprint='octagon'))
    features = feature_maps(head.in_channels, images=4)
    labels = label_maps(3)
    expected = expected_losses(head, features, labels.numpy(), factors=[8, 4, 2, 1], radii=[6],
                               footprint=references.matlab_disk, class_weight=np.array(weights))
    actual = head.loss(features, samples_of(labels), None)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].item() == pytest.approx(value, rel=1e-6)


def test_label_factors_at_factor_8() -> None:
    head = random_head(reconstruction_factor=8, num_bases=2, dilation_erosion=None)
    features = feature_maps(head.in_channels, images=4)
    labels = label_maps(3)
    actual = head.loss(features, samples_of(labels), None)
    levels = expected_levels(head, features, [17, 17, 17, 9], 'zeros', [2, 2, 2, 1])
    for (level, scores), factor in zip(levels.items(), [4, 2, 1, 1], strict=True):
        kept = references.subsample(labels.numpy(), factor)
        value = references.cross_entropy(references.crop(scores, *kept.shape[1:]), kept)
        assert actual[f'loss_ce_{level}'].item() == pytest.approx(value, rel=1e-11)


def test_labels_are_taken_at_cell_centres() -> None:
    """Labels that say where they come from, and scores that are sure of one place."""
    labels = torch.arange(64).repeat(64, 1)[None]  # the class is the column
    seen = {}

    class Spy(torch.nn.Module):
        loss_name = 'loss_spy'

        def forward(self, scores: Tensor, label: Tensor, ignore_index: int = 255) -> Tensor:
            seen[scores.shape[-1]] = label
            return scores.sum()

    head = MODELS.build(dict(
        type='LRRHead', in_channels=[1] * 4, num_classes=64, num_bases=1, dilation_erosion=None))
    head.loss_decode = Spy()
    features = [torch.zeros(1, 1, 64 // stride, 64 // stride) for stride in STRIDES]
    head.loss(features, samples_of(labels), None)
    for factor in (8, 4, 2, 1):
        columns = [factor * i + factor // 2 for i in range(64 // factor)]
        expected = torch.tensor(columns).repeat(64 // factor, 1)[None]
        assert torch.equal(seen[64 // factor], expected)
        nearest = F.interpolate(labels[None].float(), scale_factor=1 / factor,
                                mode='nearest-exact')
        assert torch.equal(expected, nearest[0].long())


def test_images_of_a_batch_are_independent() -> None:
    head = random_head()
    features = feature_maps(head.in_channels, images=4)
    labels = label_maps(3)
    together = head.loss(features, samples_of(labels), None)
    alone = [
        head.loss([feature[n:n + 1] for feature in features], samples_of(labels[n:n + 1]), None)
        for n in range(4)
    ]
    for name in together:
        if name != 'acc_seg':
            mean = sum(losses[name] for losses in alone) / 4
            torch.testing.assert_close(together[name], mean, rtol=1e-10, atol=1e-12)


def test_all_ignored_batch_is_zero_with_finite_gradients() -> None:
    head = random_head()
    features = [feature.requires_grad_() for feature in feature_maps(head.in_channels)]
    labels = torch.full((2, HEIGHT, WIDTH), 255)
    losses = head.loss(features, samples_of(labels), None)
    terms = [value for name, value in losses.items() if 'loss' in name]
    assert len(terms) == 6 and all(value == 0 for value in terms)
    assert losses['acc_seg'].isfinite()
    sum(terms).backward()
    for tensor in [*features, *head.parameters()]:
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (9, 4)])
def test_images_smaller_than_a_cell(size: tuple[int, int]) -> None:
    head = random_head()
    features = feature_maps(head.in_channels, size=size, images=1)
    labels = torch.ones(1, *size, dtype=torch.int64)
    losses = head.loss(features, samples_of(labels), None)
    expected = expected_losses(head, features, labels.numpy(), factors=[8, 4, 2, 1], radii=[32])
    for name, value in expected.items():
        # The toolbox adds a small number to its counts.
        assert losses[name].item() == pytest.approx(value, rel=1e-6, abs=1e-4)


# ------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize('options', [
    dict(),
    dict(learned_bases=True, upsample_border='replicate'),
    dict(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '16x']),
         loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[6, 3])),
], ids=['defaults', 'learned bases', 'two DE levels'])
def test_gradcheck_of_all_losses(options: dict) -> None:
    head = random_head(in_channels=[1, 2], num_classes=2, num_bases=1, kernel_size=1,
                       reconstruction_factor=2, **options)
    features = feature_maps([1, 2], size=(17, 33), images=1)
    labels = torch.zeros(1, 17, 33, dtype=torch.int64)
    labels[0, 5:, :9], labels[0, 0] = 1, 255
    names = [name for name, _ in head.named_parameters()]
    tensors = [feature.requires_grad_() for feature in features]
    tensors += [parameter for _, parameter in head.named_parameters()]
    for parameter in tensors[2:]:
        torch.nn.init.normal_(parameter, std=.3)

    def losses(*values: Tensor) -> tuple[Tensor, ...]:
        def terms(*features: Tensor) -> tuple[Tensor, ...]:
            found = head.loss(list(features), samples_of(labels), None)
            return tuple(value for name, value in found.items() if 'loss' in name)

        module = torch.nn.Module()
        module.head, module.forward = head, terms
        state = {f'head.{name}': value for name, value in zip(names, values[2:], strict=True)}
        return torch.func.functional_call(module, state, values[:2])

    assert torch.autograd.gradcheck(losses, tensors)


def test_every_parameter_gets_a_gradient() -> None:
    head = random_head(learned_bases=True)
    features = feature_maps(head.in_channels, images=4)
    losses = head.loss(features, samples_of(label_maps(3)), None)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_every_parameter_gets_a_gradient_at_the_start() -> None:
    """With all coefficients zero their gradients are none, but for the masked levels', zero."""
    head = MODELS.build(dict(type='LRRHead', in_channels=[3, 4, 5, 6], num_classes=3))
    features = [feature.float() for feature in feature_maps([3, 4, 5, 6], images=4)]
    losses = head.loss(features, samples_of(label_maps(3)), None)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
    assert head.levels['32x'].coefficients.weight.grad.abs().max() > 0


def test_gradients_flow_through_the_mask() -> None:
    """The coarser level's scores move the finer ones through the mask, too."""
    head = random_head(in_channels=[3, 4], dilation_erosion=None)
    features = feature_maps([3, 4], images=1)
    scores = head.forward_levels(features)['16x'].sum()
    through = torch.autograd.grad(scores, head.levels['32x'].coefficients.weight)[0]
    torch.nn.init.zeros_(head.levels['16x'].coefficients.weight)
    torch.nn.init.zeros_(head.levels['16x'].coefficients.bias)
    beside = torch.autograd.grad(head.forward_levels(features)['16x'].sum(),
                                 head.levels['32x'].coefficients.weight)[0]
    assert (through - beside).abs().max() > 1e-3 * beside.abs().max()


def test_bfloat16_autocast() -> None:
    head = random_head().float()
    features = [feature.float().requires_grad_() for feature in feature_maps([3, 4, 5, 6])]
    labels = label_maps(3)[:2]
    expected = head.loss(features, samples_of(labels), None)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = head.loss(features, samples_of(labels), None)
    total = sum(value for name, value in losses.items() if 'loss' in name)
    total.backward()
    for name, value in losses.items():
        if name != 'acc_seg':
            assert value.dtype == torch.float32
            assert value.item() == pytest.approx(expected[name].item(), rel=.02), name
    for tensor in [*features, *head.parameters()]:
        assert tensor.grad.isfinite().all()
