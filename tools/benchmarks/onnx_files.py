# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Time an exported network beside PyTorch, in float32, float16 and INT8, and compare what they say.

Needs the extra [onnx]; OpenVINO is timed if it is installed. INT8 is onnxruntime's dynamic
quantisation, of weights; float16 files take and give float32.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file, to compare on images of '
                        "the config's test set (default: random weights and a random image)")
    parser.add_argument('--images', type=int, default=4, help='default: %(default)s')
    parser.add_argument('--size', type=int, nargs=2, default=[512, 512], metavar=('H', 'W'),
                        help='of the random image (default: 512 512)')
    parser.add_argument('--runs', type=int, default=5, help='rounds whose median is taken')
    parser.add_argument('--threads', type=int, default=2, help='default: %(default)s')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

import heads
import numpy as np
import onnx
import onnxruntime
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmseg.apis import init_model
from mmseg.registry import DATASETS
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor, nn

from mmseg_lrr.apis.checkpoint_check import check_checkpoint
from mmseg_lrr.apis.export import ExportedModel, difference, export_onnx

Run = Callable[[np.ndarray], np.ndarray]


def load(args: argparse.Namespace) -> tuple[nn.Module, list[Tensor]]:
    """Build the model, and preprocess the images, each (1, 3, H, W)."""
    cfg = Config.fromfile(args.config)
    cfg.model.pretrained = None
    model = revert_sync_batchnorm(init_model(cfg, device='cpu'))
    if args.checkpoint is None:
        for level in model.decode_head.levels.values():  # which start at zero
            torch.nn.init.normal_(level.coefficients.weight, std=0.05)
        return model, [torch.randn(1, 3, *args.size)]
    check_checkpoint(model, args.checkpoint)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(args.images, len(dataset))).astype(int)
    return model, [model.data_preprocessor(pseudo_collate([dataset[int(index)]]))['inputs']
                   for index in chosen]


def openvino_run(path: Path, threads: int) -> Run | None:
    """The file in OpenVINO, if it is installed."""
    try:
        import openvino
    except ImportError:
        return None
    compiled = openvino.Core().compile_model(path, 'CPU', {
        'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'})
    return lambda image: compiled(image)[0]


def forms(model: nn.Module, folder: Path, threads: int) -> Iterator[tuple[str, Path, Run]]:
    """Write the file in every form; give each one's name, file, and function of an image."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    whole, half, quantised = (folder / f'{name}.onnx' for name in ('float32', 'float16', 'int8'))
    export_onnx(model, whole)
    onnx.save(convert_float_to_float16(onnx.load(whole), keep_io_types=True), half)
    quantize_dynamic(whole, quantised, weight_type=QuantType.QUInt8)
    for path in (whole, half, quantised):
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
        yield (f'onnxruntime, {path.stem}', path,
               lambda image, session=session: session.run(None, {'image': image})[0])
    if run := openvino_run(whole, threads):
        yield 'OpenVINO, float32', whole, run


def main() -> None:
    args = parse_args()
    args.device = 'cpu'
    torch.set_num_threads(args.threads)
    model, images = load(args)
    exported = ExportedModel(model).eval()
    expected = [exported(image)[0].detach() for image in images]
    rows = []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        found = list(forms(model, Path(folder), args.threads))
        first = images[0].numpy()
        taken = heads.seconds({
            'PyTorch': lambda: exported(images[0]),
            **{name: lambda run=run: run(first) for name, _, run in found}}, args)
        rows.append(('PyTorch', '-', f'{taken["PyTorch"]:.3f}', 1, '-', '-'))
        for name, path, run in found:
            scores = [torch.from_numpy(run(image.numpy())) for image in images]
            pairs = list(zip(scores, expected, strict=True))
            equal = [1 - difference(one.argmax(1), other.argmax(1)) for one, other in pairs]
            rows.append((
                name, f'{path.stat().st_size / 2**20:.1f}', f'{taken[name]:.3f}',
                f'{taken[name] / taken["PyTorch"]:.2f}',
                f'{max(difference(*pair) for pair in pairs):.1e}', f'{np.mean(equal):.2%}'))
    sizes = tuple(images[0].shape[2:])
    print(f'{heads.device_line()}; images: {len(images)}, the timed one of {sizes}\n')
    print(heads.table(f'{Path(args.config).stem}, exported', (
        'form', 'MiB', 's', '/ PyTorch', 'difference / largest score', 'equal labels'), rows))


if __name__ == '__main__':
    main()
