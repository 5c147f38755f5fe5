# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What the head is built of, what it refuses, and what it says."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_lrr.models.decode_heads import LRRHead

LEVELS = ['32x', '16x', '8x', '4x']
CHANNELS = [3, 4, 5, 6]


def build(**options) -> LRRHead:
    options = {'in_channels': CHANNELS, 'num_classes': 3, **options}
    return MODELS.build(ConfigDict(type='LRRHead', **options))


# ------------------------------------------------------------------------------- structure


def test_state_dict_names_and_shapes() -> None:
    expected = {'bases_loaded': ()}
    for level, channels in zip(LEVELS, reversed(CHANNELS), strict=True):
        expected[f'coefficients.{level}.weight'] = (30, channels, 5, 5)
        expected[f'coefficients.{level}.bias'] = (30, )
        expected[f'levels.{level}.reconstruction.bases'] = (3, 10, 8, 8)
    for branch in ('dilation', 'erosion'):
        expected[f'{branch}.coefficients.32x.weight'] = (30, 6, 5, 5)
        expected[f'{branch}.coefficients.32x.bias'] = (30, )
        expected[f'{branch}.bias.32x'] = (3, )
    state = build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


def test_dilation_erosion_off_leaves_nothing_behind() -> None:
    names = build(dilation_erosion=None).state_dict()
    assert not any('dilation' in name or 'erosion' in name for name in names)


def test_finer_dilation_erosion_levels() -> None:
    head = build(dilation_erosion=dict(type='DilationErosionBranch', levels=['32x', '16x']),
                 loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[32, 16]))
    for branch in (head.dilation, head.erosion):
        assert set(branch.state_dict()) == {
            f'{name}.{level}{suffix}' for level in ('32x', '16x')
            for name, suffix in (('coefficients', '.weight'), ('coefficients', '.bias'),
                                 ('bias', ''))}


def test_bases_are_buffers_one_per_level() -> None:
    head = build()
    buffers = dict(head.named_buffers())
    assert set(buffers) == {'bases_loaded', *(f'reconstructions.{x}.bases' for x in LEVELS)}
    assert not any('bases' in name for name, _ in head.named_parameters())
    assert len({buffers[f'reconstructions.{x}.bases'].data_ptr() for x in LEVELS}) == 4


def test_nothing_of_the_toolbox_is_left_over() -> None:
    head = build()
    assert not hasattr(head, 'conv_seg')
    assert head.dropout is None
    assert (head.num_classes, head.out_channels, head.align_corners) == (3, 3, False)


def test_coefficients_start_at_zero_and_stay_there() -> None:
    head = build()
    head.init_weights()
    for name, parameter in head.named_parameters():
        if 'coefficients' in name:
            assert torch.equal(parameter, torch.zeros_like(parameter)), name
        else:
            assert torch.equal(parameter, torch.tensor([1., -1., -1.])), name


def test_positional_arguments() -> None:
    head = LRRHead([4, 5], 7, [2, 3])
    assert head.levels == ['32x', '16x'] and head.num_classes == 7
    assert head.in_index == [2, 3]


def test_config_is_left_as_it_is() -> None:
    cfg = ConfigDict(
        type='LRRHead', in_channels=CHANNELS, num_classes=3,
        boundary_mask=dict(type='BoundaryMask', window=[5, 7, 9, 11]),
        dilation_erosion=dict(type='DilationErosionBranch', levels=['32x']),
        loss_dilation_erosion=dict(type='DilationErosionLoss', radii=[8]))
    before = cfg.to_dict()
    first, second = MODELS.build(cfg), MODELS.build(cfg)
    assert cfg.to_dict() == before
    assert first.state_dict().keys() == second.state_dict().keys()
    LRRHead(CHANNELS, 3)
    assert LRRHead(CHANNELS, 3).state_dict().keys() == first.state_dict().keys()


@pytest.mark.parametrize(('options', 'windows'), [
    (dict(), {'16x': 9, '8x': 9, '4x': 9}),
    (dict(reconstruction_factor=2), {'16x': 5, '8x': 5, '4x': 5}),
    (dict(reconstruction_factor=8), {'16x': 17, '8x': 17, '4x': 9}),
    (dict(boundary_mask=dict(type='BoundaryMask', window=17)), {'16x': 17, '8x': 17, '4x': 17}),
    (dict(boundary_mask=dict(type='BoundaryMask', window=[5, 7, 11, 9])),
     {'16x': 11, '8x': 7, '4x': 5}),
    (dict(boundary_mask=dict(type='BoundaryMask', window=[5, None, 11, None])),
     {'16x': 11, '8x': 9, '4x': 5}),
    (dict(boundary_mask=None), {}),
    (dict(in_channels=[4, 5]), {'16x': 9}),
    (dict(in_channels=4), {}),
])
def test_windows(options: dict, windows: dict[str, int]) -> None:
    head = build(**options)
    assert {level: mask.window for level, mask in head.masks.items()} == windows


# ------------------------------------------------------------------------------- refusals


def mask(window: object) -> dict:
    return dict(boundary_mask=dict(type='BoundaryMask', window=window))


def branches(levels: object, radii: object = (32, )) -> dict:
    return dict(dilation_erosion=dict(type='DilationErosionBranch', levels=levels),
                loss_dilation_erosion=dict(type='DilationErosionLoss', radii=radii))


REFUSED = {
    'sampler': (dict(sampler=dict(type='OHEMPixelSampler')), 'sampler.*OHEMPixelSampler.*None'),
    'out_channels 1': (dict(num_classes=2, out_channels=1), 'out_channels.*1'),
    'out_channels 4': (dict(out_channels=4), 'out_channels.*4.*3'),
    'align_corners': (dict(align_corners=True), 'align_corners.*False.*True'),
    'channels': (dict(channels=30), 'channels'),
    'no classes': (dict(num_classes=0), 'num_classes.*0'),
    'one class': (dict(num_classes=1), 'num_classes.*2.*1'),
    'half a class': (dict(num_classes=2.5), 'num_classes.*2.5'),
    'no bases': (dict(num_bases=0), 'num_bases.*0'),
    'more bases than a patch has pixels': (dict(num_bases=1025), 'num_bases.*1024.*1025'),
    'even kernel': (dict(kernel_size=4), 'kernel_size.*odd.*4'),
    'no kernel': (dict(kernel_size=0), 'kernel_size.*0'),
    'odd u': (dict(reconstruction_factor=3), 'reconstruction_factor.*even.*3'),
    'no u': (dict(reconstruction_factor=0), 'reconstruction_factor.*0'),
    'u that does not divide': (dict(reconstruction_factor=6), 'reconstruction_factor.*6'),
    'u of another number of levels': (dict(reconstruction_factor=[4, 4]),
                                      'reconstruction_factor.*4.*2'),
    'u that leaves a gap': (dict(reconstruction_factor=[4, 4, 4, 2]), 'reconstruction_factor'),
    'u that turns the pyramid round': (dict(reconstruction_factor=[2, 8, 8, 8]),
                                       'reconstruction_factor'),
    'even window': (mask(8), 'window.*odd.*8'),
    'no window': (mask(0), 'window.*0'),
    'even window at one level': (mask([9, 8, 9, 9]), 'window.*odd.*8'),
    'windows of another number of levels': (mask([9, 9]), 'window.*4.*2'),
    'border': (dict(upsample_border='mirror'), "border.*zeros.*replicate.*'mirror'"),
    'learned_bases': (dict(learned_bases='yes'), "learned.*True or False.*'yes'"),
    'strides that do not double': (dict(strides=[4, 8, 16, 16]), r'strides.*\[4, 8, 16, 16\]'),
    'strides coarse to fine': (dict(strides=[32, 16, 8, 4]), r'strides.*fine to coarse'),
    'too few strides': (dict(strides=[16, 32]), r'strides.*\[16, 32\]'),
    'strides of five maps': (dict(in_channels=[3] * 5), 'strides.*5|strides.*4'),
    'no channels': (dict(in_channels=[]), r'in_channels.*\[\]'),
    'zero channels': (dict(in_channels=[3, 0]), 'in_channels.*0'),
    'channels as text': (dict(in_channels='34'), "in_channels.*'34'"),
    'too few indices': (dict(in_index=[0, 1]), r'in_index.*4.*\[0, 1\]'),
    'DE levels not there': (branches(['64x']), "levels.*'64x'"),
    'DE levels of a smaller network': (dict(in_channels=[3, 4], **branches(['32x', '16x', '8x'],
                                                                           (32, 16, 8))),
                                       "levels.*'8x'"),
    'DE levels with a gap': (branches(['32x', '8x'], (32, 16)), "levels.*gap.*'8x'"),
    'no DE levels': (branches([]), r'levels.*\[\]'),
    'radii of another number of levels': (branches(['32x', '16x']), r'radii.*16x.*\[32\]'),
    'loss without a name': (dict(loss_decode=3), 'loss_decode'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refuses_by_name(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build(**options)


def test_wrong_number_of_channels_is_named() -> None:
    head = build(in_channels=[4, 5])
    with pytest.raises(ValueError, match='in_channels.* 4 channels at level 16x.* 3 '):
        head.forward_levels([torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 2, 2)])


def test_wrong_labels_are_named() -> None:
    head = build(in_channels=[4])
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=torch.tensor([[[0, 7], [255, 1]]])),
        metainfo=dict(img_path='images/some.jpg', seg_map_path='labels/some.png'))
    with pytest.raises(ValueError, match=r'0 \.\. 2 or 255.*\[7\].*labels/some\.png'):
        head.loss([torch.zeros(1, 4, 1, 1)], [sample], None)


def test_a_backbone_that_rounds_down_is_named() -> None:
    head = build(in_channels=[4, 5])
    with pytest.raises(ValueError, match='rounds odd sizes down.*size_divisor'):
        head.forward_levels([torch.zeros(1, 4, 5, 5), torch.zeros(1, 5, 2, 2)])


# ------------------------------------------------------------------------------- wrong strides


def maps(channels: list[int], *sizes: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.zeros(1, width, *size) for width, size in zip(channels, sizes, strict=True)]


MISFITS = {
    'dilated backbone': ((16, 24), (8, 12), (8, 12), (8, 12)),
    'coarse to fine': ((2, 3), (4, 6), (8, 12), (16, 24)),
    'a stage left out': ((16, 24), (8, 12), (4, 6), (1, 2)),
}


@pytest.mark.parametrize('case', MISFITS)
def test_maps_that_do_not_halve_are_named(case: str) -> None:
    """Cut at the top left they would still fit each other, and say nothing."""
    with pytest.raises(ValueError, match='strides'):
        build().forward_levels(maps(CHANNELS, *MISFITS[case]))


@pytest.mark.parametrize('channels', [[3], [3, 4]])
def test_maps_finer_than_their_strides_are_named(channels: list[int]) -> None:
    """The first maps of a backbone, read as if they were its last (the default)."""
    head = build(in_channels=channels)
    features = maps(channels, *((16, 24), (8, 12))[:len(channels)])
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 64, 96, dtype=torch.int64)))
    with pytest.raises(ValueError, match='strides'):
        head.loss(features, [sample], None)
    with pytest.raises(ValueError, match='strides'):
        head.predict(features, [dict(img_shape=(64, 96))], dict())
    # Said rightly, they serve.
    head = build(in_channels=channels, strides=(4, 8)[:len(channels)])
    head.loss(features, [sample], None)
    assert head.predict(features, [dict(img_shape=(64, 96))], dict()).shape == (1, 3, 64, 96)


def test_a_map_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match='in_index.*3'):
        build().forward_levels(maps(CHANNELS[:3], (16, 24), (8, 12), (4, 6)))
