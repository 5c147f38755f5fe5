# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import builtins
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from mmseg_lrr.models.backbones import VGG16FC

FC_CHANNELS = 16
# mmpretrain's features.N of every convolution, stage by stage: (N, in, out).
STAGES = (
    ((0, 3, 64), (1, 64, 64)),
    ((3, 64, 128), (4, 128, 128)),
    ((6, 128, 256), (7, 256, 256), (8, 256, 256)),
    ((10, 256, 512), (11, 512, 512), (12, 512, 512)),
    ((14, 512, 512), (15, 512, 512), (16, 512, 512)),
)


def imagenet_state_dict(fc_channels: int) -> dict[str, torch.Tensor]:
    """A state dict of the shape of mmpretrain's ImageNet VGG-16."""
    generator = torch.Generator().manual_seed(1)
    linear = ((0, 512 * 49, fc_channels), (3, fc_channels, fc_channels), (6, fc_channels, 10))
    shapes = {
        f'backbone.features.{place}.conv': (outputs, inputs, 3, 3)
        for stage in STAGES
        for place, inputs, outputs in stage
    } | {f'backbone.classifier.{place}': (outputs, inputs) for place, inputs, outputs in linear}
    state = {}
    for name, shape in shapes.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        state[f'{name}.weight'] = torch.randn(shape, generator=generator) * scale
        state[f'{name}.bias'] = torch.randn(shape[0], generator=generator) * 0.1
    return state


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save(dict(state_dict=imagenet_state_dict(FC_CHANNELS)), path)
    return str(path)


@pytest.fixture(scope='module')
def backbone(checkpoint) -> VGG16FC:
    """The small backbone with the checkpoint's weights, as a config makes it."""
    model = MODELS.build(
        dict(
            type='VGG16FC',
            fc_channels=FC_CHANNELS,
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
        )
    )
    model.init_weights()
    return model.eval()


@torch.no_grad()
def test_all_weights_are_loaded(backbone):
    state = imagenet_state_dict(FC_CHANNELS)
    loaded = backbone.state_dict()
    assert len(loaded) == 30
    for name, value in loaded.items():
        key = name.replace('fc6.conv', 'classifier.0').replace('fc7.conv', 'classifier.3')
        assert torch.equal(value.flatten(), state[f'backbone.{key}'].flatten()), name


@torch.no_grad()
def test_outputs_are_those_of_the_classifier_before_each_pooling(backbone):
    """An image of 224 pixels gives the classifier its 7x7 map; fc7's middle sees all of it."""
    state = {k.removeprefix('backbone.'): v for k, v in imagenet_state_dict(FC_CHANNELS).items()}
    image = torch.randn(1, 3, 224, 224)
    x, expected = image, []
    for stage in STAGES:
        for place, _, _ in stage:
            name = f'features.{place}.conv'
            weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
            x = nn.functional.conv2d(x, weight, bias, padding=1).relu()
        expected.append(x)
        x = nn.functional.max_pool2d(x, 2, 2)
    x = x.flatten(1)
    for place in (0, 3):
        weight, bias = state[f'classifier.{place}.weight'], state[f'classifier.{place}.bias']
        x = nn.functional.linear(x, weight, bias).relu()

    *maps, fc7 = backbone(image)
    for ours, theirs in zip(maps, expected[2:], strict=True):
        torch.testing.assert_close(ours, theirs)
    assert fc7.shape == (1, FC_CHANNELS, 7, 7)
    torch.testing.assert_close(fc7[:, :, 3, 3], x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((33, 65), [(9, 17), (5, 9), (3, 5), (2, 3)]),
        ((1, 1), [(1, 1)] * 4),
        ((64, 96), [(16, 24), (8, 12), (4, 6), (2, 3)]),
    ],
)
@torch.no_grad()
def test_odd_sizes_are_rounded_up(backbone, size, expected):
    outputs = backbone(torch.randn(2, 3, *size))
    assert [tuple(output.shape[2:]) for output in outputs] == expected
    assert [output.shape[1] for output in outputs] == [256, 512, 512, FC_CHANNELS]


def test_dropout_of_one_half_after_fc6_and_fc7(checkpoint):
    model = VGG16FC(fc_channels=64).train()
    # All of fc6 and fc7 at 1, so that what is not 1 was dropped or scaled.
    for conv in (model.fc6.conv, model.fc7.conv):
        nn.init.zeros_(conv.weight)
        nn.init.ones_(conv.bias)
    seen = {}
    model.fc7.register_forward_pre_hook(lambda _, args: seen.update(fc6=args[0]))
    fc7 = model(torch.randn(1, 3, 160, 160))[3].detach()
    for output in (seen['fc6'], fc7):
        assert set(output.unique().tolist()) == {0.0, 2.0}
        assert 0.4 < (output == 0).float().mean() < 0.6


@pytest.mark.parametrize(
    ('out_indices', 'channels', 'convolutions'),
    [((0,), [256], 7), ((0, 2), [256, 512], 13), ((3,), [8], 15)],
)
def test_layers_that_no_output_needs_are_not_built(out_indices, channels, convolutions):
    model = VGG16FC(out_indices=out_indices, fc_channels=8)
    outputs = model(torch.randn(1, 3, 32, 32))
    assert [output.shape[1] for output in outputs] == channels
    assert len(model.state_dict()) == 2 * convolutions
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_frozen_stages_stay_frozen():
    model = VGG16FC(frozen_stages=2, out_indices=(0, 1))
    for _ in range(2):
        frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
        expected = {f'features.{i}.conv.{p}' for i in (0, 1, 3, 4) for p in ('weight', 'bias')}
        assert frozen == expected
        assert model.train() is model
    assert all(p.requires_grad for p in VGG16FC(frozen_stages=0, out_indices=(0,)).parameters())


def test_own_state_dict_loads_strictly(backbone, tmp_path):
    path = tmp_path / 'own.pth'
    torch.save(dict(state_dict=backbone.state_dict()), path)
    model = VGG16FC(fc_channels=FC_CHANNELS)
    load_checkpoint(model, str(path), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[name]), name


def test_classifier_of_another_size_is_reported(checkpoint):
    model = VGG16FC(fc_channels=8)
    state = {k.removeprefix('backbone.'): v for k, v in imagenet_state_dict(FC_CHANNELS).items()}
    with pytest.raises(RuntimeError, match='size mismatch for fc6.conv.weight'):
        model.load_state_dict(state)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(out_indices=()), 'out_indices'),
        (dict(out_indices=(0, 4)), r'out_indices.*\(0, 4\)'),
        (dict(out_indices=(1, 0)), 'out_indices'),
        (dict(frozen_stages=6), 'frozen_stages.*6'),
        (dict(fc_channels=0), 'fc_channels.*0'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        VGG16FC(**options)


def test_missing_mmpretrain_is_named_with_the_remedy(monkeypatch):
    real = builtins.__import__

    def without_mmpretrain(name, *args, **kwargs):
        if name.startswith('mmpretrain'):
            raise ModuleNotFoundError("No module named 'mmpretrain'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_mmpretrain)
    with pytest.raises(ImportError, match='pip install "mmpretrain'):
        VGG16FC()


def test_package_imports_without_mmpretrain():
    """And VGG16FC is registered all the same; nothing of mmpretrain is imported."""
    program = (
        "import sys; sys.modules['mmpretrain'] = None\n"
        'import mmseg_lrr\n'
        'from mmseg.registry import MODELS\n'
        "assert MODELS.get('VGG16FC').__name__ == 'VGG16FC'\n"
        "assert not [m for m in sys.modules if m.startswith('mmpretrain.')]\n"
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@torch.no_grad()
def test_full_size_weights():
    """The real sizes: fc6 as a 7x7 convolution of 4096 channels."""
    state = {k.removeprefix('backbone.'): v for k, v in imagenet_state_dict(4096).items()}
    linear = {k: v for k, v in state.items() if k.startswith('classifier')}
    model = VGG16FC().eval()
    model.load_state_dict(state)
    crop = torch.randn(1, 512, 7, 7)
    x = crop.flatten(1)
    for place in (0, 3):
        weight, bias = linear[f'classifier.{place}.weight'], linear[f'classifier.{place}.bias']
        x = nn.functional.linear(x, weight, bias).relu()
    torch.testing.assert_close(model.fc7(model.fc6(crop))[:, :, 3, 3], x, rtol=1e-4, atol=1e-4)
