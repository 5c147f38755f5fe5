# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The exported model in onnxruntime against PyTorch, at sizes that it was not traced with."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from packaging.version import Version

from mmseg_lrr.apis import export
from mmseg_lrr.apis.export import export_onnx

onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')

needs_open_sizes = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.5'),
    reason='the exporter of torch before 2.5 fixes the size')
SIZES = [(97, 127), (33, 65), (200, 321)]


class Strided(torch.nn.ModuleList):
    """A backbone that rounds down."""

    def __init__(self):
        layers = ((3, 8, 4), (8, 16, 2), (16, 24, 2), (24, 32, 2))
        super().__init__(torch.nn.Conv2d(inputs, outputs, stride, stride)
                         for inputs, outputs, stride in layers)

    def forward(self, image):
        maps = [image]
        for conv in self:
            maps.append(conv(maps[-1]))
        return maps[1:]


STRIDED = dict(type=Strided)
RESNET = dict(type='ResNet', depth=18, base_channels=8, out_indices=(0, 1, 2, 3))
MIT = dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1],
           num_heads=[1, 2, 4, 8], out_indices=(0, 1, 2, 3))


def segmentor(backbone, channels, divisor=None, **options):
    torch.manual_seed(0)
    preprocessor = dict(type='SegDataPreProcessor')
    if divisor:
        preprocessor['test_cfg'] = dict(size_divisor=divisor)
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder', data_preprocessor=preprocessor, backbone=backbone,
        decode_head=dict(type='LRRHead', in_channels=channels, num_classes=3, **options),
        test_cfg=dict(mode='whole'))).eval()
    for name, parameter in model.decode_head.named_parameters():
        if 'coefficients' in name and parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@needs_open_sizes
@pytest.mark.parametrize('backbone, channels, divisor, options', [
    # Two levels and a small window, to be quick.
    (STRIDED, [24, 32], 32, dict(
        in_index=[2, 3], num_bases=2, boundary_mask=dict(type='BoundaryMask', window=3))),
    pytest.param(RESNET, [8, 16, 32, 64], None, {}, marks=pytest.mark.slow),
])
def test_any_size_agrees_with_pytorch(tmp_path, backbone, channels, divisor, options):
    """What the data preprocessor pads for a backbone that rounds down is part of the file."""
    model = segmentor(backbone, channels, divisor, **options)
    path = tmp_path / 'model.onnx'
    names, shape, _ = export_onnx(model, path, level_outputs=True)
    assert shape == (3, 3, 97, 127)
    assert names == ['scores', *(f'scores_{level}' for level in model.decode_head.levels)]
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    assert [output.name for output in session.get_outputs()] == names
    for batch, (height, width) in enumerate(SIZES, 1):
        image = torch.randn(batch, 3, height, width)
        sides = [-(-side // (divisor or 1)) * (divisor or 1) for side in (height, width)]
        padded = torch.zeros(batch, 3, *sides)
        padded[:, :, :height, :width] = image
        with torch.no_grad():
            maps = model.extract_feat(padded)
            whole = model.decode_head.predict(maps, [dict(img_shape=sides)], {})
            levels = model.decode_head.forward_levels(maps)
        outputs = session.run(None, {'image': image.numpy()})
        for name, output, tensor in zip(
                names, outputs, [whole[:, :, :height, :width], *levels.values()], strict=True):
            scale = float(tensor.abs().max())
            assert output.shape == tuple(tensor.shape), (name, height, width)
            np.testing.assert_allclose(output, tensor.numpy(), rtol=0, atol=1e-4 * scale)


@needs_open_sizes
def test_labels_are_the_classes_of_the_best_scores(tmp_path):
    model = segmentor(STRIDED, [24, 32], 32, in_index=[2, 3], num_bases=2, boundary_mask=None)
    assert export_onnx(model, tmp_path / 'model.onnx', labels=True).outputs == ['labels']
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    image = torch.randn(2, 3, 64, 96)
    (labels, ) = session.run(None, {'image': image.numpy()})
    with torch.no_grad():
        scores = model.encode_decode(image, [dict(img_shape=(64, 96))] * 2)
    assert labels.dtype == np.int32
    assert (labels == scores.argmax(dim=1).numpy()).mean() > .999


@needs_open_sizes
@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_refused(tmp_path):
    """MiT's maps are rounded as the size that was traced is, if nobody pads."""
    with pytest.raises(ValueError, match=r'wrong for an image of 97x127.*size_divisor=32\)'):
        export_onnx(segmentor(MIT, [8, 16, 32, 64]), tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


def test_a_difference_is_seen(tmp_path, monkeypatch):
    exported = export.ExportedModel(segmentor(RESNET, [8, 16, 32, 64]))

    def session(path, providers):
        return SimpleNamespace(run=lambda names, inputs: [
            1.01 * exported(torch.from_numpy(inputs['image']))[0].detach().numpy()])

    monkeypatch.setattr(onnxruntime, 'InferenceSession', session)
    with pytest.raises(ValueError, match='would be wrong for an image of 97x127'):
        export._check_other_size(tmp_path / 'model.onnx', exported, torch.rand(1, 3, 97, 127))
