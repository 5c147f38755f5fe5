# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A checkpoint of another network is refused, and everything that the toolbox accepts is not."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.apis.testing import configure_test, evaluate
from mmseg_lrr.reporting.examples import ExampleMaker
from mmseg_lrr.reporting.tune_crf import tune_crf

from ..small_segmentors import build, lrr_config
from .small_project import make_project


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'), num_images=1)


def test_what_the_toolbox_accepts(tmp_path: Path) -> None:
    model = build(lrr_config(head=dict(dilation_erosion=dict(type='DilationErosionBranch'))))
    whole = model.state_dict()
    without_branches = {name: value for name, value in whole.items()
                        if '.dilation.' not in name and '.erosion.' not in name}
    assert len(without_branches) < len(whole)
    for saved in (
            dict(state_dict=whole), whole, dict(state_dict=without_branches),
            dict(state_dict={f'module.{name}': value for name, value in whole.items()}),
            dict(state_dict={**whole, 'auxiliary_head.conv.weight': torch.zeros(1)})):
        torch.save(saved, tmp_path / 'weights.pth')
        check_checkpoint(model, tmp_path / 'weights.pth')


@pytest.mark.parametrize('saved, message', [
    ([1, 2], 'must hold weights by their names, got a list'),
    (3, 'got a int'),
    (None, 'got a NoneType'),
    (torch.zeros(3), 'got a Tensor'),
    (dict(state_dict='x'), 'got a str'),
    (dict(state_dict={1: torch.zeros(1)}), 'has weights named 1, which is no text'),
    (dict(weight=3, bias=torch.zeros(1)), r'weight is a int, expected \(1, 1, 1, 1\)'),
    (dict(weight=torch.zeros(1, 1, 1, 1, device='meta'), bias=torch.zeros(1)),
     r'weight is \(1, 1, 1, 1\) without data of its own, expected'),
    (dict(weight=torch.zeros(1, 1, 1, 1, dtype=torch.complex64), bias=torch.zeros(1)),
     r'weight is \(1, 1, 1, 1\) of torch.complex64, expected'),
    (dict(weight=torch.zeros(1, 1, 1, 1).to_sparse(), bias=torch.zeros(1)),
     r'weight is \(1, 1, 1, 1\) without data of its own, expected'),
    (dict(weight=torch.quantize_per_tensor(torch.zeros(1, 1, 1, 1), 1., 0, torch.qint8),
          bias=torch.zeros(1)), r'weight is \(1, 1, 1, 1\) of torch.qint8, expected'),
    (dict(weight=torch.zeros(()).expand(1 << 20, 1 << 20), bias=torch.zeros(1)),
     r'weight is \(1048576, 1048576\), expected'),
    (dict(weight=torch.zeros(1, 1, 1, 1), bias=torch.tensor([float('nan')])),
     r'bias is \(1,\) with values that are not finite, expected \(1,\)'),
])
def test_what_holds_no_weights_is_refused(tmp_path: Path, saved: object, message: str) -> None:
    torch.save(saved, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=rf'checkpoint .*weights\.pth .*{message}'):
        check_checkpoint(torch.nn.Conv2d(1, 1, 1), tmp_path / 'weights.pth')


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    model = build(lrr_config())
    saved = copy.deepcopy(model.state_dict())
    del saved['decode_head.coefficients.8x.bias']
    saved['backbone.conv1.weight'] = torch.zeros(4, 3, 7, 7)
    torch.save(dict(state_dict=saved), tmp_path / 'weights.pth')
    with pytest.raises(ValueError) as error:
        check_checkpoint(model, tmp_path / 'weights.pth')
    assert str(error.value) == (
        f'checkpoint {tmp_path / "weights.pth"} is not one of the network in the config: '
        'backbone.conv1.weight is (4, 3, 7, 7), expected (64, 3, 7, 7); '
        'decode_head.coefficients.8x.bias (30,) is missing')
    torch.save(dict(state_dict={}), tmp_path / 'weights.pth')
    needed = [name for name in model.state_dict()
              if not name.endswith(('num_batches_tracked', 'bases_loaded'))]
    assert len(needed) > len(list(model.parameters()))
    with pytest.raises(ValueError, match=rf'; and {len(needed) - 5} more$'):
        check_checkpoint(model, tmp_path / 'weights.pth')


@pytest.mark.parametrize('name, wrong', [
    ('backbone.bn1.running_mean', None),
    ('decode_head.reconstructions.4x.bases', None),
    ('decode_head.reconstructions.4x.bases', (3, 10, 4, 4)),
])
def test_statistics_and_bases_are_weights_too(name: str, wrong: tuple | None,
                                              tmp_path: Path) -> None:
    """The toolbox keeps the network's own, at random or of another size, with a warning."""
    model = build(lrr_config())
    saved = model.state_dict()
    # Old releases of torch did not count batches.
    saved = {key: value for key, value in saved.items() if 'num_batches_tracked' not in key}
    torch.save(saved, tmp_path / 'weights.pth')
    check_checkpoint(model, tmp_path / 'weights.pth')
    del saved[name]
    if wrong:
        saved[name] = torch.zeros(wrong)
    torch.save(saved, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=rf'{name} .*(missing|\(3, 10, 4, 4\), expected)'):
        check_checkpoint(model, tmp_path / 'weights.pth')


def test_every_tool_looks(project: Path, tmp_path: Path) -> None:
    """Also where scores are made from several scales: the segmentor is inside the model then."""
    cfg = Config.fromfile(project / 'config.py')
    cfg.work_dir = str(tmp_path / 'work')
    other = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict=build(lrr_config(num_classes=4)).state_dict(), meta={}), other)
    message = r'other\.pth is not one of the network in the config: .* expected \(30'
    for use in (
            lambda: evaluate(cfg, other), lambda: evaluate(cfg, other, tta=True),
            lambda: ExampleMaker(cfg, other),
            lambda: tune_crf(configure_test(cfg), other, num_images=1),
            lambda: tune_crf(configure_test(cfg), other, num_images=1, tta=True)):
        with pytest.raises(ValueError, match=message):
            use()
