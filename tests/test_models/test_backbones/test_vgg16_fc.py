# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""VGG-16 with fc6 and fc7 against the classifier that its weights come from."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from mmseg_lrr.models.backbones import VGG16FC

# The convolutions' places in mmpretrain's features, which has its ReLUs inside of them.
PLACES = (0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16)


@pytest.fixture(scope='module')
def classifier() -> nn.Sequential:
    """torchvision's layers, the linear ones narrow."""
    model = nn.Sequential(make_layers(cfgs['D']), nn.Flatten(), nn.Linear(512 * 49, 16), nn.ReLU(),
                          nn.Linear(16, 16), nn.ReLU())
    for name, parameter in model.named_parameters():
        if name.endswith('weight'):
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=.1)
    return model.requires_grad_(False)


@pytest.fixture(scope='module')
def weights(classifier: nn.Sequential) -> dict[str, Tensor]:
    """Under the names of mmpretrain's ImageNet checkpoint."""
    layers = [*(f'features.{place}.conv' for place in PLACES), 'classifier.0', 'classifier.3']
    names = [f'{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')]
    state = dict(zip(names, classifier.state_dict().values(), strict=True))
    return {**state, 'classifier.6.weight': torch.ones(10, 16), 'classifier.6.bias': torch.ones(10)}


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
        backbone: VGG16FC, classifier: nn.Sequential) -> None:
    """An image of 224 pixels gives the classifier its 7x7 map; fc7's middle sees all of it."""
    image = torch.randn(1, 3, 224, 224)
    expected = [classifier[0][:pooling](image) for pooling in (16, 23, 30)]
    *maps, fc7 = backbone(image)
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert fc7.shape == (1, 16, 7, 7)
    torch.testing.assert_close(fc7[:, :, 3, 3], classifier(image), rtol=1e-4, atol=1e-5)
    # Odd sizes are rounded up.
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
    assert model.train() is model
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == expected
    assert [model.features[i].training for i in (0, 4, 6)] == [False, False, True]


def test_state_dicts(backbone: VGG16FC, weights: dict[str, Tensor]) -> None:
    model = VGG16FC(fc_channels=16)
    model.load_state_dict(backbone.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[name]), name
    with pytest.raises(RuntimeError, match='size mismatch for fc6.conv.weight'):
        VGG16FC(fc_channels=8).load_state_dict(weights)


@pytest.mark.parametrize('out_indices', [(), (0, 4), (1, 0)])
def test_outputs_are_of_the_four_in_their_order(out_indices: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='out_indices'):
        VGG16FC(out_indices=out_indices)
