# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Models by batch and way of running, where a training step waits, and GPU against CPU.

    python tools/benchmarks/gpu.py [--parts models waits parity]

models: forward pass and training step (batch normalisation as in training where there is more than
one image) of ResNet-101 models and of LRR's head alone, all models in turn, and the peak of memory
over weights and inputs;
waits: host-device synchronisations of a training step of LRR-4x, by line of code; on a GPU alone;
parity: the greatest difference of the head, its gradients, DE targets and the CRF from the CPU.

Runs on a CPU too: --device cpu --size 64 --batches 1.
"""

import argparse
import collections
import copy
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

HEAD = 'head of LRR-4x'
PARTS = ('models', 'waits', 'parity')
WAYS = ('tf32', 'float32', 'bfloat16', 'float16', 'channels_last', 'with_cp', 'compile')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--device', default='cuda', help='default: %(default)s')
    parser.add_argument('--names', nargs='+', default=['LRR-4x', 'DeepLabV3+', 'UPerNet'],
                        help=f'"{HEAD}", and models of heads.py')
    parser.add_argument('--batches', nargs='+', type=int, default=[16, 4, 1])
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=WAYS[:3])
    parser.add_argument('--size', type=int, default=512, help='default: %(default)s')
    parser.add_argument('--classes', type=int, default=21, help='default: %(default)s')
    parser.add_argument('--runs', type=int, default=10, help='rounds whose median is taken')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help does not wait for torch

# Before mmseg: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
import heads
import torch
from mmengine.registry import init_default_scope
from textbook import block_labels
from torch import Tensor

from mmseg_lrr.models.post_processing.dense_crf import DenseCRF
from mmseg_lrr.ops.dilation_erosion import dilation_erosion_targets


def prepare(name: str, way: str, batch: int, args: argparse.Namespace
            ) -> tuple[Callable[[], None], Callable[[], None]]:
    """Prepare the forward pass and the training step of a model in one of :data:`WAYS`."""
    alone = name == HEAD
    model = (heads.build_head(args.classes, args.device) if alone else
             heads.build_model(name, args.classes).to(args.device))
    head = model if alone else model.decode_head
    inputs = (heads.build_features(args.size, batch, args.device) if alone else
              [torch.randn(batch, 3, args.size, args.size, device=args.device)])
    labels = block_labels(args.size, batch, args.classes).to(args.device)
    if way == 'channels_last':
        model = model.to(memory_format=torch.channels_last)
        inputs = [item.to(memory_format=torch.channels_last) for item in inputs]
    elif way == 'with_cp':
        for module in model.modules():
            if hasattr(module, 'with_cp'):
                module.with_cp = True
    elif way == 'compile':
        method = 'forward_levels' if hasattr(head, 'forward_levels') else 'forward'
        setattr(head, method, torch.compile(getattr(head, method), dynamic=False))
        if not alone:
            model.backbone.compile(dynamic=False)
    kind, dtype = torch.device(args.device).type, getattr(torch, way, None)

    def cast() -> torch.autocast | nullcontext:
        return torch.autocast(kind, dtype) if 'float16' in way else nullcontext()

    def forward() -> None:
        model.eval()
        with torch.no_grad(), cast():
            head.forward_levels(inputs) if alone else model(*inputs)

    def train() -> None:
        model.train(alone or batch > 1)
        model.zero_grad(set_to_none=True)
        with cast():
            loss = (heads.head_loss(head, inputs, labels) if alone else
                    heads.model_loss(model, *inputs, labels))
        loss.backward()

    return forward, train


def models_table(args: argparse.Namespace) -> str:
    """Time the models by batch and way."""
    rows = []
    torch.backends.cudnn.benchmark = True
    for batch in args.batches:
        for way in args.ways:
            tf32 = way != 'float32'
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            calls = {name: prepare(name, way, batch, args) for name in args.names}
            for number, what in enumerate(('forward', 'training step')):
                chosen = {name: call[number] for name, call in calls.items()}
                taken = heads.seconds(chosen, args)
                rows += [(name, batch, way, what, 1e3 * value, value / taken[args.names[0]],
                          heads.gpu_peak(chosen[name]) if args.device != 'cpu' else '-')
                         for name, value in taken.items()]
    return heads.table(f'Models, {args.size}x{args.size}, {args.classes} classes',
                 ('model', 'batch', 'way', 'what', 'ms', f'/ {args.names[0]}', 'peak MiB'), rows)


def waits_table(args: argparse.Namespace) -> str:
    """List where a training step of LRR-4x waits for the GPU."""
    _, step = prepare('LRR-4x', 'float32', args.batches[0], args)
    step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        step()
        torch.cuda.set_sync_debug_mode('default')
    places = collections.Counter(
        f'{"/".join(Path(item.filename).parts[-4:])}:{item.lineno}'
        for item in caught if 'synchronizing' in str(item.message))
    return heads.table('Synchronisations of a training step of LRR-4x', ('line', 'times'),
                 [*places.most_common(), ('all', sum(places.values()))])


def parity_table(args: argparse.Namespace) -> str:
    """Compare with float64 on the CPU, relative to the greatest value."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    head, maps = heads.build_head(args.classes, 'cpu'), heads.build_features(args.size, 1, 'cpu')
    labels = block_labels(args.size, 1, args.classes)
    probs = torch.randn(args.classes, args.size, args.size).softmax(dim=0)
    image = (255 * probs[:3].permute(1, 2, 0)).byte().numpy()

    def head_parts(device: str, dtype: torch.dtype) -> list[Tensor]:
        module = copy.deepcopy(head).to(device, dtype)
        inputs = [item.detach().to(device, dtype) for item in maps]
        loss = partial(heads.head_loss, module, inputs, labels.to(device))
        heads.training_step(module, inputs, loss)
        return [*module.forward_levels(inputs).values(),
                *(item.grad for item in (*inputs, *module.parameters()) if item.grad is not None)]

    parts = {
        'head and its gradients': head_parts,
        'DE targets': lambda device, _: dilation_erosion_targets(
            labels.to(device), args.classes, stride=8),
        'CRF': lambda device, _: [DenseCRF()(image, probs.to(device))],
    }
    rows = []
    for name, part in parts.items():
        found, exact = (
            [item.detach().cpu().double() for item in part(device, dtype)]
            for device, dtype in ((args.device, torch.float32), ('cpu', torch.float64)))
        rows.append((name, max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))
                               for a, b in zip(found, exact, strict=True))))
    return heads.table('Greatest difference from float64 on the CPU', ('part', 'difference'), rows)


def main() -> None:
    args = parse_args()
    init_default_scope('mmseg')
    tables = {'models': models_table, 'waits': waits_table, 'parity': parity_table}
    print(heads.device_line(args.device) + '\n')
    for part in args.parts:
        if part != 'waits' or args.device != 'cpu':
            print(tables[part](args), flush=True)


if __name__ == '__main__':
    main()
