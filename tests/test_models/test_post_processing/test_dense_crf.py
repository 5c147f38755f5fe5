# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The CRF against Kraehenbuehl and Koltun's own code, and against explicit N x N kernels."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from crf_references import (
    SETTINGS,
    bilateral_features,
    lattice_filter,
    mean_field,
    normalised,
    position_features,
    pydensecrf_inference,
    scene,
)
from mmseg.registry import MODELS
from PIL import Image
from scipy.ndimage import gaussian_filter

from mmseg_lrr.models import DenseCRF
from mmseg_lrr.models.post_processing.dense_crf import PRESETS

STORED = Path(__file__).with_name('crf_reference.npz')

needs_pydensecrf = pytest.mark.skipif(
    importlib.util.find_spec('pydensecrf') is None, reason='pydensecrf2 is not installed')
pytestmark = pytest.mark.usefixtures('one_thread')


def constructor_arguments(
    iterations: int, position: tuple[float, float], bilateral: tuple[float, float, float]
) -> dict[str, float]:
    return dict(
        iterations=iterations, pos_weight=position[0], pos_std=position[1],
        bilateral_weight=bilateral[0], bilateral_std_xy=bilateral[1],
        bilateral_std_rgb=bilateral[2])


def assert_equal_marginals(result: np.ndarray, expected: np.ndarray) -> None:
    """The bar: 99.99% of the labels, and 1e-3 for every probability."""
    assert result.dtype == np.float32 and result.shape == expected.shape
    assert np.abs(result - expected).max() <= 1e-3
    assert (result.argmax(0) == expected.argmax(0)).mean() >= 0.9999


def photograph(root: Path, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of VOC, and probabilities as a network's: blurred ground truth with errors."""
    name = (root / 'ImageSets/Segmentation/mini_val.txt').read_text().split()[index]
    image = np.array(Image.open(root / f'JPEGImages/{name}.jpg').convert('RGB'))
    labels = np.asarray(Image.open(root / f'SegmentationClassAug/{name}.png'))
    logits = np.stack([gaussian_filter((labels == c).astype(np.float32), 8) for c in range(21)]) * 6
    rng = np.random.default_rng(index)
    logits += 60 * gaussian_filter(rng.normal(size=logits.shape).astype(np.float32), (0, 8, 8))
    probs = np.exp(logits - logits.max(0))
    return image, probs / probs.sum(0)


# -- against other implementations ----------------------------------------------------------------


@needs_pydensecrf
@pytest.mark.parametrize(('index', 'preset'), list(enumerate(SETTINGS)))
def test_as_pydensecrf_on_photographs(index: int, preset: str, shared_data: Callable) -> None:
    image, probs = photograph(shared_data('voc'), index)
    expected = pydensecrf_inference(image, probs, **SETTINGS[preset])
    # The CRF has something to do.
    assert (expected.argmax(0) != probs.argmax(0)).mean() > 0.02
    assert_equal_marginals(DenseCRF(preset=preset)(image, probs), expected)


@needs_pydensecrf
@pytest.mark.parametrize('size', [(1, 1), (1, 6), (5, 1), (33, 27)])
def test_as_pydensecrf_on_odd_sizes(size: tuple[int, int]) -> None:
    """With colours at random; the reference code also behaves in its own way where the number of
    pixels is no multiple of four."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    for num_classes in (1, 2, 255):
        probs = rng.dirichlet(np.ones(num_classes), size).transpose(2, 0, 1).astype(np.float32)
        for settings in SETTINGS.values():
            result = DenseCRF(**constructor_arguments(**settings))(image, probs)
            assert_equal_marginals(result, pydensecrf_inference(image, probs, **settings))


@pytest.mark.parametrize('preset', SETTINGS)
def test_as_stored_from_pydensecrf(preset: str) -> None:
    with np.load(STORED) as stored:
        result = DenseCRF(preset=preset)(stored['image'], stored['probs'])
        assert (stored[preset].argmax(0) != stored['probs'].argmax(0)).mean() > 0.2
        assert_equal_marginals(result, stored[preset])


@needs_pydensecrf
def test_stored_reference_is_what_pydensecrf_says() -> None:
    with np.load(STORED) as stored:
        for preset, settings in SETTINGS.items():
            again = pydensecrf_inference(stored['image'], stored['probs'], **settings)
            np.testing.assert_allclose(again, stored[preset], atol=1e-5)


@pytest.mark.parametrize('off', [None, 'pos_weight', 'bilateral_weight'])
def test_as_explicit_lattice_kernels(off: str | None) -> None:
    """Mean field in float64 with the slow lattice's filters as N x N matrices."""
    image, probs = scene(seed=3, height=14, width=18, num_classes=4)
    # A zero counts as 1e-5, against which the neighbours have a say.
    probs[probs[:, 7, 9].argmax(), 7, 9] = 0
    probs /= probs.sum(axis=0)
    settings = dict(
        iterations=7, pos_weight=2, pos_std=2.7,
        bilateral_weight=5, bilateral_std_xy=9.1, bilateral_std_rgb=25.3)
    if off:
        settings[off] = 0
    features = (position_features(14, 18, 2.7), bilateral_features(image, 9.1, 25.3))
    kernels = [normalised(lattice_filter(f, np.eye(14 * 18))) for f in features]
    weights = [settings['pos_weight'], settings['bilateral_weight']]
    expected = mean_field(probs, kernels, weights, iterations=7)
    np.testing.assert_allclose(DenseCRF(**settings)(image, probs), expected, atol=1e-5)


# -- properties -----------------------------------------------------------------------------------


def test_sums_to_one_and_renormalises() -> None:
    image, probs = scene(seed=5, height=30, width=40, num_classes=4)
    result = DenseCRF()(image, probs)
    np.testing.assert_allclose(result.sum(0), 1, atol=1e-5)
    assert result.min() >= 0
    # What the maximum over scales leaves is a multiple of probabilities at each pixel.
    scale = np.linspace(0.4, 1.0, 40, dtype=np.float32)
    np.testing.assert_allclose(DenseCRF()(image, probs * scale), result, atol=1e-4)
    # Bicubic interpolation overshoots.
    np.testing.assert_array_equal(DenseCRF()(image, probs - .02),
                                  DenseCRF()(image, np.clip(probs - .02, 0, None)))


def test_class_without_probability_and_pixel_without_any() -> None:
    """Zeros count as 1e-5, and a pixel of zeros takes what its surroundings say."""
    image = np.full((20, 20, 3), 90, dtype=np.uint8)
    probs = np.zeros((3, 20, 20), dtype=np.float32)
    probs[1] = 1
    probs[:, 8:11, 8:11] = 0
    result = DenseCRF()(image, probs)
    floored = np.where(probs.sum(0) > 0, np.clip(probs, 1e-5, 1), 1 / 3).astype(np.float32)
    np.testing.assert_allclose(result, DenseCRF()(image, floored), atol=1e-5)
    assert (result.argmax(0) == 1).all() and np.isfinite(result).all()
    knows_nothing = DenseCRF(iterations=0)(image, probs)
    np.testing.assert_allclose(knows_nothing[:, 9, 9], 1 / 3, rtol=1e-6)


# -- kinds of input -------------------------------------------------------------------------------


def test_arrays_and_tensors_of_any_layout() -> None:
    image, probs = scene(seed=9, height=23, width=31, num_classes=4)
    expected = DenseCRF()(image, probs)
    image.flags.writeable = probs.flags.writeable = False
    for pixels, values in (
        (torch.tensor(image), probs.astype(np.float64)),
        (np.asfortranarray(image), np.asfortranarray(probs)),
        (image[::-1][::-1], probs[:, :, ::-1].copy()[:, :, ::-1]),
        (image, torch.tensor(probs, requires_grad=True)),
        (image, torch.tensor(probs).permute(1, 2, 0).contiguous().permute(2, 0, 1)),
    ):
        result = DenseCRF()(pixels, values)
        assert type(result) is type(values) and not getattr(result, 'requires_grad', False)
        np.testing.assert_array_equal(np.asarray(result), expected)


def test_half_precision_under_autocast() -> None:
    """Mixed precision in testing is not passed on: the sums are over many pixels."""
    image, probs = scene(seed=9, height=23, width=31, num_classes=4)
    rounded = torch.tensor(probs).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        result = DenseCRF()(image, rounded)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, DenseCRF()(image, rounded.float()), rtol=0, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_on_a_gpu() -> None:
    image, probs = scene(seed=11, height=90, width=120, num_classes=7)
    for preset in PRESETS:
        result = DenseCRF(preset=preset)(image, torch.tensor(probs).cuda())
        assert result.is_cuda
        assert_equal_marginals(result.cpu().numpy(), DenseCRF(preset=preset)(image, probs))


# -- options --------------------------------------------------------------------------------------


def test_presets_overrides_and_registry() -> None:
    expected = {name: constructor_arguments(**settings) for name, settings in SETTINGS.items()}
    assert PRESETS == expected
    for name, values in expected.items():
        crf = DenseCRF(preset=name)
        assert {key: getattr(crf, key) for key in values} == values
    assert DenseCRF().extra_repr() == DenseCRF(preset='kraehenbuehl').extra_repr()
    crf = MODELS.build(dict(type='DenseCRF', preset='deeplab_v1', bilateral_weight=7, pos_weight=0))
    assert (crf.bilateral_weight, crf.pos_weight, crf.bilateral_std_xy) == (7, 0, 121)


def test_wrong_options_and_inputs() -> None:
    with pytest.raises(ValueError, match="'kraehenbuehl', 'deeplab_v1'.*got 'deeplab'"):
        DenseCRF(preset='deeplab')
    with pytest.raises(ValueError, match='iterations must be an integer >= 0, got -1'):
        DenseCRF(iterations=-1)
    with pytest.raises(ValueError, match='pos_std must be a finite number > 0, got 0'):
        DenseCRF(pos_std=0)
    image, probs = scene(seed=0, height=12, width=15, num_classes=4)
    with pytest.raises(ValueError, match='standard deviations are too small'):
        DenseCRF(pos_std=1e-6)(image, probs)
    # As many pixels, but turned: silence would mix them up.
    with pytest.raises(ValueError, match=r'\(12, 15, 3\) and \(4, 15, 12\)'):
        DenseCRF()(image, probs.transpose(0, 2, 1))
