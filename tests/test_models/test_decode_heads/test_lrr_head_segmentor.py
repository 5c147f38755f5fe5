# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The head in the toolbox's stock EncoderDecoder: backbones, sizes, alignment, training."""

import copy
import itertools

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
CONVNEXT = dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 1, 1, 1],
                                                      channels=[8, 16, 24, 32]),
                out_indices=[0, 1, 2, 3], gap_before_final_norm=False)


@MODELS.register_module()
class BlockMeans(nn.Module):
    """Means of blocks of 4, 8, 16 and 32 pixels.

    Blocks that reach beyond the image count in, or not if maps are rounded down.
    """

    def __init__(self, rounds_down: bool = False) -> None:
        super().__init__()
        self.rounds_down = rounds_down

    def forward(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[2:]
        if self.rounds_down:
            return [F.avg_pool2d(images[:, :1], stride) for stride in STRIDES]
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
            metainfo=dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), (height, width))))
    return dict(inputs=[255 * torch.rand(3, height, width) for _ in range(images)],
                data_samples=samples)


def losses_of(model: EncoderDecoder, images: int = 2) -> dict[str, Tensor]:
    model.train()
    data = model.data_preprocessor(batch(images, 33, 65), training=True)
    return model.loss(data['inputs'], data['data_samples'])


@torch.no_grad()
def predicted(model: EncoderDecoder, data: dict) -> list[Tensor]:
    return [sample.seg_logits.data for sample in model.test_step(copy.deepcopy(data))]


# ------------------------------------------------------------------------------- backbones


@pytest.mark.parametrize('name', BACKBONES)
def test_any_size_and_a_training_step(name: str) -> None:
    model = segmentor(*BACKBONES[name])
    # One pixel is too few for MiT's convolutions themselves.
    for size in SIZES + (((1, 1), ) if name != 'MiT' else ()):
        data = batch(1, *size)
        inputs = data['inputs'][0][None]
        with torch.no_grad():
            assert [tuple(feature.shape[2:]) for feature in model.extract_feat(inputs)] == [
                (-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]
            alone = model.predict(inputs)[0]
            tensor = model(inputs)
        assert alone.seg_logits.data.shape == (3, *size) and alone.seg_logits.data.std() > 0
        torch.testing.assert_close(predicted(model, data)[0], alone.seg_logits.data)
        assert torch.equal(tensor[0, :, :size[0], :size[1]], alone.seg_logits.data)
    # An unused parameter stops distributed training.
    losses = losses_of(model)
    model.parse_losses(losses)[0].backward()
    for name, parameter in model.decode_head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any(parameter.grad is not None for parameter in model.backbone.parameters())


@pytest.mark.parametrize('outputs', [[3], [1, 2, 3]])
def test_fewer_maps(outputs: list[int]) -> None:
    model = segmentor(dict(type='ResNet', depth=18), [[64, 128, 256, 512][i] for i in outputs],
                      decode_head=dict(in_index=outputs))
    for size in ((33, 65), (1, 1)):
        assert predicted(model, batch(1, *size))[0].shape == (3, *size)
    finest = STRIDES[outputs[0]] // 4
    assert model(torch.zeros(1, 3, 64, 96)).shape[2:] == (64 // finest, 96 // finest)


# ------------------------------------------------------------------------------- rounding down


@pytest.mark.parametrize('kind', ['EncoderDecoder', 'LRREncoderDecoder'])
@pytest.mark.parametrize(('outputs', 'height', 'width'), [
    ([0, 1, 2, 3], 63, 127), ([0, 1, 2, 3], 33, 83), ([3], 63, 127)])
def test_a_backbone_that_rounds_down(
        kind: str, outputs: list[int], height: int, width: int) -> None:
    model = segmentor(CONVNEXT, [[8, 16, 24, 32][i] for i in outputs], type=kind,
                      decode_head=dict(in_index=outputs, strides=[STRIDES[i] for i in outputs]))
    with torch.no_grad():
        assert model.extract_feat(torch.zeros(1, 3, height, width))[3].shape[2:] == (
            height // 32, width // 32)
    data = batch(2, height, width)
    assert torch.stack(predicted(model, data)).shape == (2, 3, height, width)
    data = model.data_preprocessor(data, training=True)
    total = model.parse_losses(model.loss(data['inputs'], data['data_samples']))[0]
    total.backward()
    assert total.isfinite()


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


@pytest.mark.parametrize('rounds_down', [False, True])
@pytest.mark.parametrize('border', ['zeros', 'replicate'])
@pytest.mark.parametrize('level', ['32x', '4x'])
def test_edges_stay_at_their_pixel(level: str, border: str, rounds_down: bool) -> None:
    """Bilinear upsampling keeps an edge between equal blocks where it is; a shift moves it."""
    model = segmentor(dict(type='BlockMeans', rounds_down=rounds_down), [1] * 4,
                      decode_head=dict(num_classes=2, num_bases=1, boundary_mask=None,
                                       upsample_border=border))
    one_level_speaks(model, level)
    sizes = ((347, 479), (33, 95)) if rounds_down else ((321, 481), (1, 1), (31, 97))
    for size, axis in itertools.product(sizes, (0, 1)):
        stride = int(level[:-1])
        image = stripes(size, stride, axis)
        if rounds_down and size[axis] % stride:  # what the map ends before is as the last block
            last = size[axis] // stride * stride
            image = image.index_select(axis, torch.arange(size[axis]).clamp_max(last - 1))
        scores = model.predict(image.expand(1, 3, *size))[0].seg_logits.data
        assert torch.equal(scores[1] > 0, image > 0)
        assert torch.equal(scores[0], -scores[1])


# ------------------------------------------------------------------------------- slide


@pytest.mark.parametrize('size', [(50, 70), (20, 100)])
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


def test_as_an_auxiliary_head() -> None:
    auxiliary = dict(type='LRRHead', in_channels=[256, 512], in_index=[2, 3], num_classes=3,
                     num_bases=2, dilation_erosion=None,
                     loss_decode=dict(type='LevelCrossEntropyLoss', loss_weight=.4))
    model = segmentor(*BACKBONES['ResNet-18'], auxiliary_head=auxiliary)
    losses = losses_of(model)
    names = [f'loss_ce_{level}' for level in ('32x', '16x', '8x', '4x')] + [
        'acc_seg', 'loss_dilation_32x', 'loss_erosion_32x']
    assert list(losses) == [f'decode.{name}' for name in names] + [
        'aux.loss_ce_32x', 'aux.loss_ce_16x', 'aux.acc_seg']
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_several_losses() -> None:
    """Terms of one name are added up."""
    found = []
    for loss in (dict(type='LevelCrossEntropyLoss'), [
            dict(type='LevelCrossEntropyLoss'), dict(type='DiceLoss', loss_weight=3.),
            dict(type='LevelCrossEntropyLoss', loss_weight=.5)]):
        torch.manual_seed(1)
        found.append(losses_of(segmentor(*BACKBONES['ResNet-18'], decode_head=dict(
            dilation_erosion=None, loss_decode=loss))))
    single, several = found
    levels = ('32x', '16x', '8x', '4x')
    assert list(several) == [f'decode.{name}_{level}' for level in levels
                             for name in ('loss_ce', 'loss_dice')] + ['decode.acc_seg']
    for name in (f'decode.loss_ce_{level}' for level in levels):
        torch.testing.assert_close(several[name], 1.5 * single[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('loss', [
    dict(type='CrossEntropyLoss', use_sigmoid=True),
    dict(type='DiceLoss'),
    dict(type='LovaszLoss', reduction='none'),
    dict(type='CrossEntropyLoss', sampler=dict(type='OHEMPixelSampler', thresh=.7, min_kept=9)),
    dict(type='LevelCrossEntropyLoss', sampler=dict(type='OHEMPixelSampler', min_kept=9)),
], ids=lambda loss: loss['type'])
def test_the_toolbox_losses_and_samplers(loss: dict) -> None:
    loss = dict(loss)
    model = segmentor(*BACKBONES['ResNet-18'], decode_head=dict(
        sampler=loss.pop('sampler', None), loss_decode=loss))
    losses = losses_of(model)
    assert sum(name.startswith('decode.loss') for name in losses) == 6
    total = model.parse_losses(losses)[0]
    total.backward()
    assert total.isfinite()
    for name, parameter in model.decode_head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
