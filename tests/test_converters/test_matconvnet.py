# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import numpy as np
import pytest
from test_converters.released_layout import (
    CITYSCAPES_SPELLING,
    LEVELS,
    OTHER_SPELLING,
    VGG,
)

from mmseg_lrr.converters.matconvnet import LrrLayout, Parameter, usual_name, vgg_parameters


def test_the_released_networks_have_206_million_parameters():
    def count(**options: object) -> int:
        parameters = LrrLayout(**options).parameters()
        return sum(int(np.prod(p.shape)) for p in parameters)

    # VGG-16 without fc8 (134.3), three convolutions of the 4096 channels of fc7, one each of the
    # 512, 512 and 256 channels of the finer levels, and small change.
    assert count(num_classes=21) == pytest.approx(205.6e6, rel=1e-3)
    assert count(num_classes=19) == pytest.approx(198.8e6, rel=1e-3)


def test_names_and_shapes_are_those_of_the_released_cityscapes_network():
    """As the network's public TensorFlow port lists them."""
    expected = {f'{name}f': (k, k, i, o) for name, k, i, o in VGG}
    expected |= {f'{name}b': (1, o) for name, _, _, o in VGG}
    expected |= {'fc6f': (7, 7, 512, 4096), 'fc7f': (1, 1, 4096, 4096)}
    expected |= {'fc6b': (1, 4096), 'fc7b': (1, 4096)}
    for level, channels in zip(LEVELS, (4096, 512, 512, 256), strict=True):
        expected[f'bases_coef_{level}f'] = (5, 5, channels, 190)
        expected[f'bases_coef_{level}b'] = (1, 190)
        expected[f'deconv_{level}f'] = (8, 8, 1, 190)
    expected.pop('bases_coef_16xf')
    expected['bases_coef_16sf'] = (5, 5, 512, 190)
    for level in LEVELS[:3]:
        expected[f'dec_prediction_{level}_bil_x2f'] = (4, 4, 1, 19)
    expected |= {'dil_seg32x_coeff': (5, 5, 4096, 190), 'dil_seg32x_coefb': (1, 190)}
    expected |= {'ero_mask32s_coeff': (5, 5, 4096, 190), 'ero_seg32x_coefb': (1, 190)}
    for branch in ('dil', 'ero'):
        expected[f'{branch}_seg_deconv_32xf'] = (8, 8, 1, 190)
        expected[f'{branch}_mask_deconv32sb'] = (1, 19)
    ours = {p.name: p.shape for p in LrrLayout(num_classes=19).parameters()}
    assert ours == {usual_name(name): shape for name, shape in expected.items()}


@pytest.mark.parametrize('spelling', [CITYSCAPES_SPELLING, OTHER_SPELLING])
def test_every_name_is_read_alone(spelling):
    for usual, other in spelling.items():
        assert usual_name(other) == usual
        assert usual_name(usual) == usual


@pytest.mark.parametrize(
    ('name', 'usual'),
    [
        ('dil_mask_deconv32sf', 'dil_seg_deconv_32xf'),
        ('ero_seg_deconv_16x_addb', 'ero_seg_deconv_16x_addb'),
        ('ero_mask_deconv16sb', 'ero_seg_deconv_16x_addb'),
        ('dil_mask8s_coefb', 'dil_seg8x_coefb'),
        ('dec_prediction_8s_bil_x2f', 'dec_prediction_8x_bil_x2f'),
        ('dec_ero_mask32s_bil_x2f', 'dec_ero_seg32x_bil_x2f'),
        ('deconv_4sf', 'deconv_4xf'),
        # None of LRR's.
        ('bases_coef_2xf', 'bases_coef_2xf'),
        ('bases_coef_32x', 'bases_coef_32x'),
        ('xdeconv_32xf', 'xdeconv_32xf'),
        ('conv1_1f', 'conv1_1f'),
    ],
)
def test_spellings(name, usual):
    assert usual_name(name) == usual


@pytest.mark.parametrize('num_classes', [2, 19])
@pytest.mark.parametrize('num_bases', [10, 3])
@pytest.mark.parametrize(
    ('levels', 'de_levels'), [(4, 1), (4, 0), (1, 1), (2, 2), (4, 3), (3, 0)]
)
def test_layout_is_found_from_the_shapes(num_classes, num_bases, levels, de_levels):
    layout = LrrLayout(
        num_classes=num_classes,
        num_bases=num_bases,
        levels=LEVELS[:levels],
        de_levels=LEVELS[:de_levels],
        fc_channels=64,
    )
    shapes = {p.name: p.shape for p in layout.parameters()}
    assert LrrLayout.of_shapes(shapes, 64) == layout


def test_layout_without_any_count_of_classes_takes_ten_bases():
    shapes = {'bases_coef_32xf': (5, 5, 64, 210), 'deconv_32xf': (8, 8, 1, 210)}
    layout = LrrLayout.of_shapes(shapes)
    assert (layout.num_classes, layout.num_bases) == (21, 10)
    assert LrrLayout.of_shapes({'conv1_1f': (3, 3, 3, 64)}) is None


def test_one_wrong_shape_does_not_change_the_layout():
    shapes = {p.name: p.shape for p in LrrLayout(num_classes=19).parameters()}
    for name in ('bases_coef_32xf', 'deconv_16xf', 'dil_seg_deconv_32xb'):
        wrong = shapes | {name: (*shapes[name][:-1], 210)}
        assert LrrLayout.of_shapes(wrong) == LrrLayout(num_classes=19), name


def test_axes_both_ways():
    rng = np.random.default_rng(0)
    filters = rng.standard_normal((3, 2, 4, 5)).astype(np.float32)
    parameter = Parameter('f', 'filter', filters.shape, 'w')
    tensor = parameter.to_torch(filters)
    assert tuple(tensor.shape) == parameter.torch_shape == (5, 4, 3, 2)
    for o, i, y, x in ((0, 0, 0, 0), (4, 1, 2, 1), (2, 3, 0, 1)):
        assert tensor[o, i, y, x] == filters[y, x, i, o]
    np.testing.assert_array_equal(parameter.to_matconvnet(tensor), filters)

    bases = rng.standard_normal((8, 8, 1, 6)).astype(np.float32)
    parameter = Parameter('d', 'bases', bases.shape, 'b', num_classes=3)
    tensor = parameter.to_torch(bases)
    assert tuple(tensor.shape) == parameter.torch_shape == (3, 2, 8, 8)
    for c, k, y, x in ((0, 1, 0, 0), (2, 0, 7, 3), (1, 1, 2, 5)):
        assert tensor[c, k, y, x] == bases[y, x, 0, c * 2 + k]
    np.testing.assert_array_equal(parameter.to_matconvnet(tensor), bases)


def test_matlab_drops_last_axes_of_length_one():
    column = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    parameter = Parameter('f', 'filter', (2, 2, 3, 1), 'w')
    assert parameter.fits(column.shape)
    tensor = parameter.to_torch(column)
    assert tuple(tensor.shape) == (1, 3, 2, 2)
    assert tensor[0, 2, 1, 0] == column[1, 0, 2]
    assert not parameter.fits((2, 3, 2))


@pytest.mark.parametrize(
    ('shape', 'fits'), [((1, 7), True), ((7, 1), True), ((1, 1, 7), True), ((1, 8), False)]
)
def test_biases_may_lie_or_stand(shape, fits):
    assert Parameter('b', 'bias', (1, 7), 'b').fits(shape) is fits


def test_vgg_alone():
    assert [p.name for p in vgg_parameters()][:2] == ['conv1_1f', 'conv1_1b']
    assert sum(int(np.prod(p.shape)) for p in vgg_parameters()) == 134_260_544
