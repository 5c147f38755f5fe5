# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""VGG-16 with fc6 and fc7 against the classifier that its weights come from."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_lrr.models.backbones import VGG16FC

# mmpretrain's features.N of every convolution, stage by stage: (N, in, out).
STAGES = (
    ((0, 3, 64), (1, 64, 64)),
    ((3, 64, 128), (4, 128, 128)),
    ((6, 128, 256), (7, 256, 256), (8, 256, 256)),
    ((10, 256, 512), (11, 512, 512), (12, 512, 512)),
    ((14, 512, 512), (15, 512, 512), (16, 512, 512)),
)


def imagenet_state_dict(fc_channels: int) -> dict[str, Tensor]:
    """A state dict of the shape of mmpretrain's ImageNet VGG-16."""
    linear = ((0, 512 * 49, fc_channels), (3, fc_channels, fc_channels), (6, fc_channels, 10))
    shapes = {
        f'features.{place}.conv': (outputs, inputs, 3, 3)
        for stage in STAGES
        for place, inputs, outputs in stage
    } | {f'classifier.{place}': (outputs, inputs) for place, inputs, outputs in linear}
    state = {}
    for name, shape in shapes.items():
        state[f'{name}.weight'] = torch.randn(shape) * (2 / math.prod(shape[1:])) ** 0.5
        state[f'{name}.bias'] = torch.randn(shape[0]) * 0.1
    return state


def apply(layer: str, state: dict[str, Tensor], x: Tensor) -> Tensor:
    weight, bias = state[f'{layer}.weight'], state[f'{layer}.bias']
    return (F.linear(x, weight, bias) if weight.ndim == 2 else
            F.conv2d(x, weight, bias, padding=1)).relu()


@pytest.fixture(scope='module')
def weights() -> dict[str, Tensor]:
    return imagenet_state_dict(16)


@pytest.fixture(scope='module')
def backbone(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> VGG16FC:
    """The small backbone with a checkpoint's weights, as a config makes it."""
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in weights.items()}), path)
    model = MODELS.build(dict(type='VGG16FC', fc_channels=16, init_cfg=dict(
        type='Pretrained', checkpoint=str(path), prefix='backbone.')))
    model.init_weights()
    return model.eval()


@torch.no_grad()
def test_outputs_are_those_of_the_classifier_before_each_pooling(
        backbone: VGG16FC, weights: dict[str, Tensor]) -> None:
    """An image of 224 pixels gives the classifier its 7x7 map; fc7's middle sees all of it."""
    image = torch.randn(1, 3, 224, 224)
    x, expected = image, []
    for stage in STAGES:
        for place, _, _ in stage:
            x = apply(f'features.{place}.conv', weights, x)
        expected.append(x)
        x = F.max_pool2d(x, 2, 2)
    x = apply('classifier.3', weights, apply('classifier.0', weights, x.flatten(1)))
    *maps, fc7 = backbone(image)
    for ours, theirs in zip(maps, expected[2:], strict=True):
        torch.testing.assert_close(ours, theirs)
    assert fc7.shape == (1, 16, 7, 7)
    torch.testing.assert_close(fc7[:, :, 3, 3], x, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_odd_sizes_are_rounded_up(backbone: VGG16FC) -> None:
    sizes = [tuple(output.shape[2:]) for output in backbone(torch.randn(2, 3, 33, 65))]
    assert sizes == [(9, 17), (5, 9), (3, 5), (2, 3)]


def test_dropout_of_one_half_after_fc6_and_fc7() -> None:
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


@pytest.mark.parametrize(('out_indices', 'channels', 'convolutions'), [
    ((0, 2), [256, 512], 13), ((3,), [8], 15)])
def test_layers_that_no_output_needs_are_not_built(
        out_indices: tuple, channels: list, convolutions: int) -> None:
    model = VGG16FC(out_indices=out_indices, fc_channels=8)
    outputs = model(torch.randn(1, 3, 32, 32))
    assert [output.shape[1] for output in outputs] == channels
    assert len(model.state_dict()) == 2 * convolutions
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_frozen_stages_stay_frozen() -> None:
    model = VGG16FC(frozen_stages=2, out_indices=(0, 1))
    expected = {f'features.{i}.conv.{p}' for i in (0, 1, 3, 4) for p in ('weight', 'bias')}
    for _ in range(2):
        assert {n for n, p in model.named_parameters() if not p.requires_grad} == expected
        assert model.train() is model
        assert [model.features[i].training for i in (0, 4, 6)] == [False, False, True]
    assert all(p.requires_grad for p in VGG16FC(frozen_stages=0, out_indices=(0,)).parameters())


def test_own_state_dict_loads_strictly(backbone: VGG16FC, tmp_path) -> None:
    path = tmp_path / 'own.pth'
    torch.save(dict(state_dict=backbone.state_dict()), path)
    model = VGG16FC(fc_channels=16)
    load_checkpoint(model, str(path), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[name]), name


def test_what_does_not_fit_is_named(weights: dict[str, Tensor]) -> None:
    with pytest.raises(RuntimeError, match='size mismatch for fc6.conv.weight'):
        VGG16FC(fc_channels=8).load_state_dict(weights)
    for out_indices in ((), (0, 4), (1, 0)):
        with pytest.raises(ValueError, match='out_indices'):
            VGG16FC(out_indices=out_indices)


@pytest.mark.slow
def test_package_imports_without_mmpretrain() -> None:
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
