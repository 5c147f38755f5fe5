# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head in the toolbox's stock EncoderDecoder: backbones, sizes, alignment, training."""

import copy
import math

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

STRIDES = (4, 8, 16, 32)
SIZES = ((33, 65), (65, 31), (96, 64))

# Small members of each family; their layers are those of the large ones.
BACKBONES = {
    'ResNet-18': (dict(type='ResNet', depth=18), [64, 128, 256, 512]),
    'ResNetV1c-50': (dict(type='ResNetV1c', depth=50, stem_channels=8, base_channels=8),
                     [32, 64, 128, 256]),
    'HRNet-W18-Small': (
        dict(type='HRNet', norm_cfg=dict(type='BN'), extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1, ),
                        num_channels=(64, )),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1),
                        num_channels=(18, 36)),
            stage3=dict(num_modules=1, num_branches=3, block='BASIC', num_blocks=(1, 1, 1),
                        num_channels=(18, 36, 72)),
            stage4=dict(num_modules=1, num_branches=4, block='BASIC', num_blocks=(1, 1, 1, 1),
                        num_channels=(18, 36, 72, 144)))), [18, 36, 72, 144]),
    'Swin': (dict(type='SwinTransformer', embed_dims=24, depths=(1, 1, 1, 1),
                  num_heads=(1, 2, 4, 8), window_size=7), [24, 48, 96, 192]),
    'MiT': (dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1],
                 num_heads=[1, 2, 5, 8]), [8, 16, 40, 64]),
    'VGG16FC': (dict(type='VGG16FC', fc_channels=16), [256, 512, 512, 16]),
}
PREPROCESSOR = dict(type='mmseg.SegDataPreProcessor', size_divisor=1)
PADDED = dict(type='mmseg.SegDataPreProcessor', size_divisor=32, test_cfg=dict(size_divisor=32))
CONVNEXT = dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 1, 1, 1],
                                                      channels=[8, 16, 24, 32]),
                out_indices=[0, 1, 2, 3], gap_before_final_norm=False)


@MODELS.register_module()
class BlockMeans(nn.Module):
    """Means of blocks of 4, 8, 16 and 32 pixels; blocks that reach beyond the image count in."""

    def forward(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[2:]
        maps = []
        for stride in STRIDES:
            rows, columns = -(-height // stride), -(-width // stride)
            padding = (0, stride * columns - width, 0, stride * rows - height)
            sums = F.avg_pool2d(F.pad(images[:, :1], padding), stride)
            parts = F.avg_pool2d(F.pad(torch.ones_like(images[:, :1]), padding), stride)
            maps.append(sums / parts)
        return maps


def segmentor(backbone: dict, in_channels: list[int], *, test_cfg: dict | None = None,
              data_preprocessor: dict | None = None, **options) -> EncoderDecoder:
    """A model from a config, its scores random but alike in every run."""
    head = dict(type='LRRHead', in_channels=in_channels, num_classes=3, num_bases=2)
    head.update(options.pop('decode_head', {}))
    model = MODELS.build(ConfigDict(
        type=options.pop('type', 'EncoderDecoder'), backbone=backbone, decode_head=head,
        train_cfg=dict(), data_preprocessor=data_preprocessor or PREPROCESSOR,
        test_cfg=test_cfg or dict(mode='whole'), **options))
    for name, parameter in model.decode_head.named_parameters():
        if 'coefficients' in name:
            nn.init.normal_(parameter, std=.02)
    return model.eval()


def batch(images: int, height: int, width: int) -> dict:
    """What a data loader gives."""
    samples = []
    for _ in range(images):
        label = torch.randint(3, (1, height, width))
        label[:, :3] = 255
        samples.append(SegDataSample(
            gt_sem_seg=PixelData(data=label),
            metainfo=dict(img_shape=(height, width), ori_shape=(height, width))))
    return dict(inputs=[255 * torch.rand(3, height, width) for _ in range(images)],
                data_samples=samples)


@torch.no_grad()
def predicted(model: EncoderDecoder, data: dict) -> list[Tensor]:
    return [sample.seg_logits.data for sample in model.test_step(copy.deepcopy(data))]


# ------------------------------------------------------------------------------- backbones


def assert_sizes(model: EncoderDecoder, size: tuple[int, int], *, rounds_up: bool = True) -> None:
    """Scores of the input's size, in all of the segmentor's modes."""
    data = batch(1, *size)
    inputs = data['inputs'][0][None]
    with torch.no_grad():
        features = model.extract_feat(inputs)
        if rounds_up:
            assert [tuple(feature.shape[2:]) for feature in features] == [
                (-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]
        alone = model.predict(inputs)[0]
        tensor = model(inputs)
    assert alone.seg_logits.data.shape == (3, *size)
    assert alone.pred_sem_seg.data.shape == (1, *size)
    torch.testing.assert_close(predicted(model, data)[0], alone.seg_logits.data)
    assert torch.equal(tensor[0, :, :size[0], :size[1]], alone.seg_logits.data)
    assert alone.seg_logits.data.std() > 0


@pytest.mark.parametrize('name', BACKBONES)
def test_any_size(name: str) -> None:
    model = segmentor(*BACKBONES[name])
    for size in SIZES:
        assert_sizes(model, size)


@pytest.mark.parametrize('name', ['ResNet-18', 'ResNetV1c-50', 'HRNet-W18-Small', 'Swin',
                                  'VGG16FC'])
def test_one_pixel(name: str) -> None:
    assert_sizes(segmentor(*BACKBONES[name]), (1, 1))


@pytest.mark.parametrize('name', BACKBONES)
def test_one_training_step_reaches_every_parameter(name: str) -> None:
    """An unused parameter stops distributed training."""
    model = segmentor(*BACKBONES[name]).train()
    data = model.data_preprocessor(batch(2, 33, 65), training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    total, _ = model.parse_losses(losses)
    total.backward()
    for name, parameter in model.decode_head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    used = [parameter.grad is not None for parameter in model.backbone.parameters()]
    assert any(used)


@pytest.mark.parametrize('outputs', [[3], [2, 3], [1, 2, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize('picked', ['by the backbone', 'by the head'])
def test_one_to_four_maps(picked: str, outputs: list[int]) -> None:
    channels = [[64, 128, 256, 512][i] for i in outputs]
    if picked == 'by the backbone':
        model = segmentor(dict(type='ResNet', depth=18, out_indices=outputs), channels)
    else:
        model = segmentor(dict(type='ResNet', depth=18), channels,
                          decode_head=dict(in_index=outputs))
    for size in ((33, 65), (1, 1)):
        data = batch(1, *size)
        assert predicted(model, data)[0].shape == (3, *size)
    finest = STRIDES[outputs[0]] // 4
    assert model(torch.zeros(1, 3, 64, 96)).shape[2:] == (64 // finest, 96 // finest)


# ------------------------------------------------------------------------------- rounding down


def test_a_backbone_that_rounds_down_says_what_to_do() -> None:
    model = segmentor(CONVNEXT, [8, 16, 24, 32])
    with torch.no_grad():
        assert model.extract_feat(torch.zeros(1, 3, 33, 65))[0].shape[2:] == (8, 16)
    data = batch(2, 33, 65)
    with pytest.raises(ValueError, match='rounds down.*size_divisor'):
        predicted(model, data)
    data = model.data_preprocessor(data, training=True)
    with pytest.raises(ValueError, match='rounds down.*size_divisor'):
        model.loss(data['inputs'], data['data_samples'])


@torch.no_grad()
def test_the_level_segmentor_says_so_too() -> None:
    """It works on probabilities, which a later resize would stretch to the image."""
    model = segmentor(CONVNEXT, [8, 16, 24, 32], type='LRREncoderDecoder')
    with pytest.raises(ValueError, match='rounds down.*size_divisor'):
        predicted(model, batch(1, 33, 65))
    # The first maps of a backbone, read as if they were its last (the default).
    model = segmentor(dict(type='ResNet', depth=18), [64, 128], type='LRREncoderDecoder')
    with pytest.raises(ValueError, match='strides'):
        predicted(model, batch(1, 64, 96))


@pytest.mark.parametrize('size', [(33, 65), (64, 96)])
def test_padding_serves_a_backbone_that_rounds_down(size: tuple[int, int]) -> None:
    model = segmentor(CONVNEXT, [8, 16, 24, 32], data_preprocessor=PADDED)
    data = batch(2, *size)
    scores = torch.stack(predicted(model, data))
    # Scores of the padded image, its top left cut out: neither moved nor stretched.
    rows, columns = 32 * math.ceil(size[0] / 32), 32 * math.ceil(size[1] / 32)
    padded = torch.stack([
        F.pad(image, (0, columns - size[1], 0, rows - size[0])) for image in data['inputs']])
    with torch.no_grad():
        whole = model(padded)
    assert whole.shape[2:] == (rows, columns)
    torch.testing.assert_close(scores, whole[:, :, :size[0], :size[1]])


def test_training_on_padded_images() -> None:
    """Padded pixels are ignored labels: what lies in them does not matter."""
    model = segmentor(dict(type='BlockMeans'), [1] * 4, data_preprocessor=PADDED).train()
    data = batch(2, 33, 65)
    data['inputs'][1] = data['inputs'][1][:, :20, :50]
    label = data['data_samples'][1].gt_sem_seg.data[:, :20, :50]
    data['data_samples'][1] = SegDataSample(gt_sem_seg=PixelData(data=label))
    ready = model.data_preprocessor(copy.deepcopy(data), training=True)
    assert ready['inputs'].shape == (2, 3, 64, 96)
    losses = model.loss(ready['inputs'], ready['data_samples'])
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite() and total > 0


# ------------------------------------------------------------------------------- alignment


def one_level_speaks(model: EncoderDecoder, level: str) -> None:
    """Make one level paint its map's own values, block by block, and silence the others."""
    head = model.decode_head
    for conv in [level.coefficients for level in head.levels.values()]:
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
    with torch.no_grad():
        # Score of class 1 the map's value, of class 0 its negative.
        centre = head.levels[level].coefficients.weight[:, 0, 2, 2]
        centre.copy_(torch.tensor([-1., 1.]))
        # A basis that is 1 over its own cell, the middle u x u of 2u x 2u.
        bases = head.levels[level].reconstruction.bases
        quarter = bases.shape[-1] // 4
        bases.zero_()
        bases[..., quarter:-quarter, quarter:-quarter] = 1.


def stripes(size: tuple[int, int], period: int, axis: int) -> Tensor:
    """+1 / -1 at random, the same within each block of ``period`` pixels along one axis."""
    length = size[axis]
    signs = 2. * torch.randint(0, 2, (-(-length // period), )) - 1
    line = signs.repeat_interleave(period)[:length]
    return line.expand(size) if axis == 1 else line[:, None].expand(size)


@pytest.mark.parametrize('border', ['zeros', 'replicate'])
@pytest.mark.parametrize('size', [(321, 481), (33, 65), (1, 1), (31, 97)])
@pytest.mark.parametrize('level', ['32x', '8x', '4x'])
def test_edges_stay_at_their_pixel(level: str, size: tuple[int, int], border: str) -> None:
    """Bilinear upsampling keeps an edge between equal blocks where it is; a shift moves it."""
    model = segmentor(dict(type='BlockMeans'), [1] * 4,
                      decode_head=dict(num_classes=2, num_bases=1, boundary_mask=None,
                                       upsample_border=border))
    one_level_speaks(model, level)
    for axis in (0, 1):
        image = stripes(size, int(level[:-1]), axis)
        scores = model.predict(image.expand(1, 3, *size))[0].seg_logits.data
        assert torch.equal(scores[1] > 0, image > 0)
        assert torch.equal(scores[0], -scores[1])


def test_labels_line_up_with_scores() -> None:
    """Trained on labels of blocks, levels that see the blocks are right at every label."""
    labels = torch.zeros(1, 321, 481, dtype=torch.int64)
    labels[:] = (stripes((321, 481), 32, 1) > 0).long()
    image = 2. * labels - 1
    for level in ('32x', '16x', '8x', '4x'):
        model = segmentor(
            dict(type='BlockMeans'), [1] * 4,
            decode_head=dict(num_classes=2, num_bases=1, boundary_mask=None,
                             dilation_erosion=None))
        one_level_speaks(model, level)
        with torch.no_grad():
            model.decode_head.levels[level].coefficients.weight *= 1000
        losses = model.loss(image[None].expand(1, 3, -1, -1),
                            [SegDataSample(gt_sem_seg=PixelData(data=labels))])
        for name, value in losses.items():
            speaks = int(name.split('_')[-1][:-1]) <= int(level[:-1]) if 'loss' in name else True
            if 'loss' in name and speaks:
                assert value < 1e-6, (level, name)
        assert losses['decode.acc_seg'].item() == pytest.approx(100)


# ------------------------------------------------------------------------------- slide


@pytest.mark.parametrize('size', [(64, 96), (50, 70), (20, 100)])
def test_slide_is_the_mean_over_windows(size: tuple[int, int]) -> None:
    test_cfg = dict(mode='slide', crop_size=(48, 48), stride=(32, 32))
    model = segmentor(*BACKBONES['ResNet-18'], test_cfg=test_cfg)
    data = batch(1, *size)
    image = data['inputs'][0][None]

    def starts(length: int) -> list[int]:
        if length <= 48:
            return [0]
        return [min(32 * i, length - 48) for i in range(-(-(length - 48) // 32) + 1)]

    total, count = torch.zeros(1, 3, *size), torch.zeros(size)
    for top in starts(size[0]):
        for left in starts(size[1]):
            window = image[:, :, top:top + 48, left:left + 48]
            rows, columns = window.shape[2:]
            here = (..., slice(top, top + rows), slice(left, left + columns))
            with torch.no_grad():
                total[here] += model(window)[:, :, :rows, :columns]
            count[here] += 1
    torch.testing.assert_close(predicted(model, data)[0], (total / count)[0])


# ------------------------------------------------------------------------------- training


def losses_of(model: EncoderDecoder, images: int = 2) -> dict[str, Tensor]:
    model.train()
    data = model.data_preprocessor(batch(images, 33, 65), training=True)
    return model.loss(data['inputs'], data['data_samples'])


NAMES = [*(f'loss_ce_{level}' for level in ('32x', '16x', '8x', '4x')), 'acc_seg',
         'loss_dilation_32x', 'loss_erosion_32x']


@pytest.mark.parametrize('several', [False, True])
def test_as_an_auxiliary_head(several: bool) -> None:
    auxiliary = dict(type='LRRHead', in_channels=[256, 512], in_index=[2, 3], num_classes=3,
                     num_bases=2, dilation_erosion=None,
                     loss_decode=dict(type='LevelCrossEntropyLoss', loss_weight=.4))
    model = segmentor(*BACKBONES['ResNet-18'],
                      auxiliary_head=[auxiliary, auxiliary] if several else auxiliary)
    losses = losses_of(model)
    expected = [f'decode.{name}' for name in NAMES]
    for prefix in (['aux_0', 'aux_1'] if several else ['aux']):
        expected += [f'{prefix}.loss_ce_32x', f'{prefix}.loss_ce_16x', f'{prefix}.acc_seg']
    assert list(losses) == expected
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_several_losses() -> None:
    model = segmentor(*BACKBONES['ResNet-18'], decode_head=dict(
        dilation_erosion=None,
        loss_decode=[dict(type='LevelCrossEntropyLoss'),
                     dict(type='DiceLoss', loss_weight=3.),
                     dict(type='LevelCrossEntropyLoss', loss_weight=.5)]))
    losses = losses_of(model)
    assert list(losses) == [
        f'decode.{name}_{level}' for level in ('32x', '16x', '8x', '4x')
        for name in ('loss_ce', 'loss_dice')] + ['decode.acc_seg']
    # Terms of one name are added up.
    alone = segmentor(*BACKBONES['ResNet-18'], decode_head=dict(dilation_erosion=None))
    alone.load_state_dict(model.state_dict())
    alone.train()
    torch.manual_seed(1)
    single = losses_of(alone)
    torch.manual_seed(1)
    several = losses_of(model)
    for level in ('32x', '16x', '8x', '4x'):
        name = f'decode.loss_ce_{level}'
        torch.testing.assert_close(several[name], 1.5 * single[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('loss', [
    dict(type='CrossEntropyLoss', avg_non_ignore=True),
    dict(type='CrossEntropyLoss', use_sigmoid=True),
    dict(type='DiceLoss'),
    dict(type='TverskyLoss'),
    dict(type='LovaszLoss', reduction='none'),
], ids=lambda loss: loss['type'])
def test_the_toolbox_losses(loss: dict) -> None:
    model = segmentor(*BACKBONES['ResNet-18'], decode_head=dict(loss_decode=loss))
    losses = losses_of(model)
    assert sum(name.startswith('decode.loss') for name in losses) == 6
    total = model.parse_losses(losses)[0]
    total.backward()
    assert total.isfinite()
    for name, parameter in model.decode_head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
