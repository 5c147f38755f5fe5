# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The exported model in onnxruntime against PyTorch, at sizes that it was not traced with."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_lrr.apis import export
from mmseg_lrr.apis.export import export_onnx

onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')

OPEN_SIZES = 'dynamic_shapes' in inspect.signature(torch.onnx.export).parameters
SIZES = [(128, 160), (97, 131), (33, 65), (200, 321)]


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder',
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        decode_head=dict(type='LRRHead', in_channels=[64, 128, 256, 512], num_classes=3),
        test_cfg=dict(mode='whole'))).eval()
    for conv in model.decode_head.coefficients.values():
        torch.nn.init.normal_(conv.weight, std=0.02)
    return model


@pytest.mark.skipif(not OPEN_SIZES, reason='the exporter of torch before 2.5 fixes the size')
def test_any_size_agrees_with_pytorch(model, tmp_path):
    path = tmp_path / 'model.onnx'
    names = export_onnx(model, path, level_outputs=True)
    assert names == ['scores', 'scores_32x', 'scores_16x', 'scores_8x', 'scores_4x']
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    assert [output.name for output in session.get_outputs()] == names
    for height, width in SIZES:
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            levels = model.decode_head.forward_levels(model.extract_feat(image))
        expected = [levels['4x'][:, :, :height, :width], *levels.values()]
        outputs = session.run(None, {'image': image.numpy()})
        for name, output, tensor in zip(names, outputs, expected, strict=True):
            scale = float(tensor.abs().max())
            assert output.shape == tuple(tensor.shape), (name, height, width)
            np.testing.assert_allclose(output, tensor.numpy(), rtol=0, atol=1e-4 * scale)


@pytest.mark.skipif(not OPEN_SIZES, reason='the exporter of torch before 2.5 fixes the size')
def test_padding_is_part_of_the_file(tmp_path):
    """ConvNeXt rounds down; the data preprocessor pads for it, and the file has none."""
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', test_cfg=dict(size_divisor=32)),
        backbone=dict(
            type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 24, 32]),
            out_indices=[0, 1, 2, 3], gap_before_final_norm=False),
        decode_head=dict(type='LRRHead', in_channels=[8, 16, 24, 32], num_classes=3),
        test_cfg=dict(mode='whole'))).eval()
    for conv in model.decode_head.coefficients.values():
        torch.nn.init.normal_(conv.weight, std=0.05)
    export_onnx(model, tmp_path / 'model.onnx')
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    for height, width in SIZES:
        image = torch.randn(1, 3, height, width)
        padded = torch.zeros(1, 3, -(-height // 32) * 32, -(-width // 32) * 32)
        padded[:, :, :height, :width] = image
        with torch.no_grad():
            expected = model(padded)[:, :, :height, :width]
        (output, ) = session.run(None, {'image': image.numpy()})
        assert output.shape == expected.shape == (1, 3, height, width)
        np.testing.assert_allclose(
            output, expected.numpy(), rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.skipif(not OPEN_SIZES, reason='the exporter of torch before 2.5 fixes the size')
def test_a_file_that_answers_otherwise_is_refused(tmp_path):
    """MiT's maps are rounded as the size that was traced is, if nobody pads."""
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder',
        backbone=dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1],
                      num_heads=[1, 2, 4, 8], out_indices=(0, 1, 2, 3)),
        decode_head=dict(type='LRRHead', in_channels=[8, 16, 32, 64], num_classes=3),
        test_cfg=dict(mode='whole'))).eval()
    with pytest.raises(ValueError, match=r'wrong for an image of 97x131.*size_divisor=32\)'):
        export_onnx(model, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('change, message', [
    (lambda scores: scores[:, :, 1:], r'Got \(1, 3, 96, 131\), expected \(1, 3, 97, 131\)'),
    (lambda scores: scores * 1.01, 'differ by'),
    (lambda scores: scores * float('nan'), 'differ by nan'),
])
def test_every_difference_is_seen(model, tmp_path, monkeypatch, change, message):
    exported = export.ExportedModel(model)
    image = torch.rand(1, 3, 97, 131)

    def session(path, providers):
        return SimpleNamespace(run=lambda names, inputs: [
            change(exported(torch.from_numpy(inputs['image']))[0]).detach().numpy()])

    monkeypatch.setattr(onnxruntime, 'InferenceSession', session)
    with pytest.raises(ValueError, match=message):
        export._check_other_size(tmp_path / 'model.onnx', exported, image)


def test_a_folder_is_refused_at_once(model, tmp_path, monkeypatch):
    def refuse(*args, dynamic_shapes, **options):
        raise AssertionError('exported')

    monkeypatch.setattr(torch.onnx, 'export', refuse)
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        export_onnx(model, tmp_path)


def test_too_old_a_torch_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, 'export', lambda model, args, f, *, dynamo: None)
    with pytest.raises(ImportError, match='exporting needs torch >= 2.5, got'):
        export_onnx(model, tmp_path / 'model.onnx')


@pytest.mark.skipif(not OPEN_SIZES, reason='the exporter of torch before 2.5 fixes the size')
def test_other_heads_are_refused(model, tmp_path):
    other = MODELS.build(ConfigDict(
        type='EncoderDecoder',
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        decode_head=dict(type='FCNHead', in_channels=512, in_index=3, channels=8, num_classes=3)))
    with pytest.raises(TypeError, match='decode_head must be an LRRHead, got FCNHead'):
        export_onnx(other, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())
